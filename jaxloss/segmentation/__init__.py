"""Predicted maps against target maps: regions, their boundaries and their centre lines."""

from jaxloss.segmentation.distance import boundary_loss as boundary_loss
from jaxloss.segmentation.distance import hausdorff_loss as hausdorff_loss
from jaxloss.segmentation.distance import signed_distance_map as signed_distance_map
from jaxloss.segmentation.lovasz import lovasz_hinge_loss as lovasz_hinge_loss
from jaxloss.segmentation.lovasz import lovasz_softmax_loss as lovasz_softmax_loss
from jaxloss.segmentation.regions import dice_loss as dice_loss
from jaxloss.segmentation.regions import focal_tversky_loss as focal_tversky_loss
from jaxloss.segmentation.regions import generalized_dice_loss as generalized_dice_loss
from jaxloss.segmentation.regions import jaccard_loss as jaccard_loss
from jaxloss.segmentation.regions import log_cosh_dice_loss as log_cosh_dice_loss
from jaxloss.segmentation.regions import tversky_loss as tversky_loss
from jaxloss.segmentation.regions import unified_focal_loss as unified_focal_loss
from jaxloss.segmentation.skeleton import centerline_dice_loss as centerline_dice_loss
from jaxloss.segmentation.skeleton import soft_skeleton as soft_skeleton
