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
from jaxloss.boxes.losses import DynamicWiseIoUState as DynamicWiseIoUState
from jaxloss.boxes.losses import alpha_iou_loss as alpha_iou_loss
from jaxloss.boxes.losses import cdiou_loss as cdiou_loss
from jaxloss.boxes.losses import ciou_loss as ciou_loss
from jaxloss.boxes.losses import diou_loss as diou_loss
from jaxloss.boxes.losses import dynamic_wise_iou_init as dynamic_wise_iou_init
from jaxloss.boxes.losses import dynamic_wise_iou_loss as dynamic_wise_iou_loss
from jaxloss.boxes.losses import eiou_loss as eiou_loss
from jaxloss.boxes.losses import focal_eiou_loss as focal_eiou_loss
from jaxloss.boxes.losses import focaler_iou_loss as focaler_iou_loss
from jaxloss.boxes.losses import giou_loss as giou_loss
from jaxloss.boxes.losses import inner_iou_loss as inner_iou_loss
from jaxloss.boxes.losses import iou_loss as iou_loss
from jaxloss.boxes.losses import log_iou_loss as log_iou_loss
from jaxloss.boxes.losses import mpdiou_loss as mpdiou_loss
from jaxloss.boxes.losses import normalized_wasserstein_loss as normalized_wasserstein_loss
from jaxloss.boxes.losses import powerful_iou_loss as powerful_iou_loss
from jaxloss.boxes.losses import rectified_iou_loss as rectified_iou_loss
from jaxloss.boxes.losses import shape_iou_loss as shape_iou_loss
from jaxloss.boxes.losses import siou_loss as siou_loss
from jaxloss.boxes.losses import wise_iou_loss as wise_iou_loss
from jaxloss.boxes.rotated import rotated_iou_loss as rotated_iou_loss
from jaxloss.classification import GradientHarmonizedState as GradientHarmonizedState
from jaxloss.classification import SeesawState as SeesawState
from jaxloss.classification import asymmetric_loss as asymmetric_loss
from jaxloss.classification import bi_tempered_logistic_loss as bi_tempered_logistic_loss
from jaxloss.classification import binary_cross_entropy as binary_cross_entropy
from jaxloss.classification import class_balanced_weights as class_balanced_weights
from jaxloss.classification import class_weights_of as class_weights_of
from jaxloss.classification import distribution_focal_loss as distribution_focal_loss
from jaxloss.classification import fused_linear_cross_entropy as fused_linear_cross_entropy
from jaxloss.classification import gaussian_focal_loss as gaussian_focal_loss
from jaxloss.classification import generalized_cross_entropy as generalized_cross_entropy
from jaxloss.classification import gradient_harmonized_init as gradient_harmonized_init
from jaxloss.classification import gradient_harmonized_loss as gradient_harmonized_loss
from jaxloss.classification import hinge_loss as hinge_loss
from jaxloss.classification import ldam_loss as ldam_loss
from jaxloss.classification import logit_adjusted_cross_entropy as logit_adjusted_cross_entropy
from jaxloss.classification import multiclass_hinge_loss as multiclass_hinge_loss
from jaxloss.classification import negative_log_likelihood as negative_log_likelihood
from jaxloss.classification import poly_loss_cross_entropy as poly_loss_cross_entropy
from jaxloss.classification import quality_focal_loss as quality_focal_loss
from jaxloss.classification import safe_softmax_cross_entropy as safe_softmax_cross_entropy
from jaxloss.classification import seesaw_init as seesaw_init
from jaxloss.classification import seesaw_loss as seesaw_loss
from jaxloss.classification import sigmoid_binary_cross_entropy as sigmoid_binary_cross_entropy
from jaxloss.classification import sigmoid_focal_loss as sigmoid_focal_loss
from jaxloss.classification import softmax_cross_entropy as softmax_cross_entropy
from jaxloss.classification import (
    softmax_cross_entropy_with_integer_labels as softmax_cross_entropy_with_integer_labels,
)
from jaxloss.classification import softmax_focal_loss as softmax_focal_loss
from jaxloss.classification import symmetric_cross_entropy as symmetric_cross_entropy
from jaxloss.classification import varifocal_loss as varifocal_loss
from jaxloss.distribution import cross_entropy as cross_entropy
from jaxloss.distribution import entropy as entropy
from jaxloss.distribution import generalized_kl_divergence as generalized_kl_divergence
from jaxloss.distribution import information_content as information_content
from jaxloss.distribution import jensen_shannon_divergence as jensen_shannon_divergence
from jaxloss.distribution import kl_divergence as kl_divergence
from jaxloss.distribution import kl_divergence_with_log_targets as kl_divergence_with_log_targets
from jaxloss.distribution import smooth_labels as smooth_labels
from jaxloss.distribution import smooth_labels_over_others as smooth_labels_over_others
from jaxloss.embedding import arcface_logits as arcface_logits
from jaxloss.embedding import center_loss as center_loss
from jaxloss.embedding import circle_loss as circle_loss
from jaxloss.embedding import contrastive_loss as contrastive_loss
from jaxloss.embedding import cosface_logits as cosface_logits
from jaxloss.embedding import info_nce_loss as info_nce_loss
from jaxloss.embedding import ntxent as ntxent
from jaxloss.embedding import supervised_contrastive_loss as supervised_contrastive_loss
from jaxloss.embedding import triplet_margin_loss as triplet_margin_loss
from jaxloss.embedding import update_centers as update_centers
from jaxloss.reduction import SumAndWeight as SumAndWeight
from jaxloss.reduction import mean as mean
from jaxloss.reduction import sum as sum
from jaxloss.reduction import sum_and_weight as sum_and_weight
from jaxloss.regression import absolute_error as absolute_error
from jaxloss.regression import adaptive_wing_loss as adaptive_wing_loss
from jaxloss.regression import balanced_l1_loss as balanced_l1_loss
from jaxloss.regression import charbonnier_loss as charbonnier_loss
from jaxloss.regression import cosine_distance as cosine_distance
from jaxloss.regression import cosine_similarity as cosine_similarity
from jaxloss.regression import focal_l1_loss as focal_l1_loss
from jaxloss.regression import gaussian_nll_loss as gaussian_nll_loss
from jaxloss.regression import general_robust_loss as general_robust_loss
from jaxloss.regression import huber_loss as huber_loss
from jaxloss.regression import l2_loss as l2_loss
from jaxloss.regression import log_cosh as log_cosh
from jaxloss.regression import quantile_loss as quantile_loss
from jaxloss.regression import root_mean_squared_error as root_mean_squared_error
from jaxloss.regression import smooth_l1_loss as smooth_l1_loss
from jaxloss.regression import squared_error as squared_error
from jaxloss.regression import wing_loss as wing_loss
from jaxloss.segmentation import boundary_loss as boundary_loss
from jaxloss.segmentation import centerline_dice_loss as centerline_dice_loss
from jaxloss.segmentation import dice_loss as dice_loss
from jaxloss.segmentation import focal_tversky_loss as focal_tversky_loss
from jaxloss.segmentation import generalized_dice_loss as generalized_dice_loss
from jaxloss.segmentation import hausdorff_loss as hausdorff_loss
from jaxloss.segmentation import jaccard_loss as jaccard_loss
from jaxloss.segmentation import log_cosh_dice_loss as log_cosh_dice_loss
from jaxloss.segmentation import lovasz_hinge_loss as lovasz_hinge_loss
from jaxloss.segmentation import lovasz_softmax_loss as lovasz_softmax_loss
from jaxloss.segmentation import signed_distance_map as signed_distance_map
from jaxloss.segmentation import soft_skeleton as soft_skeleton
from jaxloss.segmentation import tversky_loss as tversky_loss
from jaxloss.segmentation import unified_focal_loss as unified_focal_loss

__version__ = "0.1.0"
# `from jaxloss import *` leaves the builtin `sum` as it is.
__all__ = [name for name in dir() if not name.startswith("_") and name != "sum"]
