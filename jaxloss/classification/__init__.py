"""Logits and probabilities against labels: one answer of two, or one class of many."""

from jaxloss.classification.binary import asymmetric_loss as asymmetric_loss
from jaxloss.classification.binary import binary_cross_entropy as binary_cross_entropy
from jaxloss.classification.binary import (
    sigmoid_binary_cross_entropy as sigmoid_binary_cross_entropy,
)
from jaxloss.classification.binary import sigmoid_focal_loss as sigmoid_focal_loss
from jaxloss.classification.fused import (
    fused_linear_cross_entropy as fused_linear_cross_entropy,
)
from jaxloss.classification.imbalance import GradientHarmonizedState as GradientHarmonizedState
from jaxloss.classification.imbalance import SeesawState as SeesawState
from jaxloss.classification.imbalance import class_balanced_weights as class_balanced_weights
from jaxloss.classification.imbalance import gradient_harmonized_init as gradient_harmonized_init
from jaxloss.classification.imbalance import gradient_harmonized_loss as gradient_harmonized_loss
from jaxloss.classification.imbalance import ldam_loss as ldam_loss
from jaxloss.classification.imbalance import (
    logit_adjusted_cross_entropy as logit_adjusted_cross_entropy,
)
from jaxloss.classification.imbalance import seesaw_init as seesaw_init
from jaxloss.classification.imbalance import seesaw_loss as seesaw_loss
from jaxloss.classification.margin import hinge_loss as hinge_loss
from jaxloss.classification.margin import multiclass_hinge_loss as multiclass_hinge_loss
from jaxloss.classification.multiclass import class_weights_of as class_weights_of
from jaxloss.classification.multiclass import negative_log_likelihood as negative_log_likelihood
from jaxloss.classification.multiclass import (
    safe_softmax_cross_entropy as safe_softmax_cross_entropy,
)
from jaxloss.classification.multiclass import softmax_cross_entropy as softmax_cross_entropy
from jaxloss.classification.multiclass import (
    softmax_cross_entropy_with_integer_labels as softmax_cross_entropy_with_integer_labels,
)
from jaxloss.classification.multiclass import softmax_focal_loss as softmax_focal_loss
from jaxloss.classification.quality import distribution_focal_loss as distribution_focal_loss
from jaxloss.classification.quality import gaussian_focal_loss as gaussian_focal_loss
from jaxloss.classification.quality import quality_focal_loss as quality_focal_loss
from jaxloss.classification.quality import varifocal_loss as varifocal_loss
from jaxloss.classification.robust import generalized_cross_entropy as generalized_cross_entropy
from jaxloss.classification.robust import poly_loss_cross_entropy as poly_loss_cross_entropy
from jaxloss.classification.robust import symmetric_cross_entropy as symmetric_cross_entropy
from jaxloss.classification.tempered import bi_tempered_logistic_loss as bi_tempered_logistic_loss
