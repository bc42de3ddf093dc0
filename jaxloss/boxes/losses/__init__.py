"""The IoU family as losses: overlap terms, transformed, weighted, and penalties added to them.

The gap `1 - IoU` is computed from edge differences, so that converged boxes keep their relative
accuracy, and no epsilon is added anywhere: losses do not change with the unit of the boxes, except
where a length is one of their parameters.
"""

from jaxloss.boxes.losses.geometric import cdiou_loss as cdiou_loss
from jaxloss.boxes.losses.geometric import eiou_loss as eiou_loss
from jaxloss.boxes.losses.geometric import mpdiou_loss as mpdiou_loss
from jaxloss.boxes.losses.geometric import (
    normalized_wasserstein_loss as normalized_wasserstein_loss,
)
from jaxloss.boxes.losses.geometric import powerful_iou_loss as powerful_iou_loss
from jaxloss.boxes.losses.geometric import shape_iou_loss as shape_iou_loss
from jaxloss.boxes.losses.geometric import siou_loss as siou_loss
from jaxloss.boxes.losses.overlap import ciou_loss as ciou_loss
from jaxloss.boxes.losses.overlap import diou_loss as diou_loss
from jaxloss.boxes.losses.overlap import giou_loss as giou_loss
from jaxloss.boxes.losses.overlap import iou_loss as iou_loss
from jaxloss.boxes.losses.overlap import log_iou_loss as log_iou_loss
from jaxloss.boxes.losses.transformed import alpha_iou_loss as alpha_iou_loss
from jaxloss.boxes.losses.transformed import focaler_iou_loss as focaler_iou_loss
from jaxloss.boxes.losses.transformed import inner_iou_loss as inner_iou_loss
from jaxloss.boxes.losses.transformed import rectified_iou_loss as rectified_iou_loss
from jaxloss.boxes.losses.weighted import DynamicWiseIoUState as DynamicWiseIoUState
from jaxloss.boxes.losses.weighted import dynamic_wise_iou_init as dynamic_wise_iou_init
from jaxloss.boxes.losses.weighted import dynamic_wise_iou_loss as dynamic_wise_iou_loss
from jaxloss.boxes.losses.weighted import focal_eiou_loss as focal_eiou_loss
from jaxloss.boxes.losses.weighted import wise_iou_loss as wise_iou_loss
