"""Computer-vision losses for JAX: pure functions to compose with `jit`, `vmap` and `grad`.

Predictions first, targets second, hyperparameters by keyword; every loss is unreduced and takes a
boolean `where`. Reduce with `jaxloss.mean`.
"""

from jaxloss import boxes as boxes
from jaxloss import detection as detection
from jaxloss import matching as matching
from jaxloss.boxes.gaussian import gwd_loss as gwd_loss
from jaxloss.boxes.gaussian import kfiou_loss as kfiou_loss
from jaxloss.boxes.gaussian import kld_loss as kld_loss
from jaxloss.boxes.gaussian import probiou_loss as probiou_loss
from jaxloss.boxes.losses import ciou_loss as ciou_loss
from jaxloss.boxes.losses import diou_loss as diou_loss
from jaxloss.boxes.losses import giou_loss as giou_loss
from jaxloss.boxes.losses import iou_loss as iou_loss
from jaxloss.boxes.losses import log_iou_loss as log_iou_loss
from jaxloss.boxes.rotated import rotated_iou_loss as rotated_iou_loss
from jaxloss.classification import binary_cross_entropy as binary_cross_entropy
from jaxloss.classification import class_weights_of as class_weights_of
from jaxloss.classification import fused_linear_cross_entropy as fused_linear_cross_entropy
from jaxloss.classification import negative_log_likelihood as negative_log_likelihood
from jaxloss.classification import sigmoid_binary_cross_entropy as sigmoid_binary_cross_entropy
from jaxloss.classification import sigmoid_focal_loss as sigmoid_focal_loss
from jaxloss.classification import softmax_cross_entropy as softmax_cross_entropy
from jaxloss.classification import (
    softmax_cross_entropy_with_integer_labels as softmax_cross_entropy_with_integer_labels,
)
from jaxloss.classification import softmax_focal_loss as softmax_focal_loss
from jaxloss.reduction import SumAndWeight as SumAndWeight
from jaxloss.reduction import mean as mean
from jaxloss.reduction import sum as sum
from jaxloss.reduction import sum_and_weight as sum_and_weight
from jaxloss.regression import absolute_error as absolute_error
from jaxloss.regression import huber_loss as huber_loss
from jaxloss.regression import l2_loss as l2_loss
from jaxloss.regression import smooth_l1_loss as smooth_l1_loss
from jaxloss.regression import squared_error as squared_error
