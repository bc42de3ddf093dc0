"""Losses of a residual, `predictions - targets`, one element at a time or over an axis."""

from jaxloss.regression.elementary import absolute_error as absolute_error
from jaxloss.regression.elementary import huber_loss as huber_loss
from jaxloss.regression.elementary import l2_loss as l2_loss
from jaxloss.regression.elementary import smooth_l1_loss as smooth_l1_loss
from jaxloss.regression.elementary import squared_error as squared_error
from jaxloss.regression.landmarks import adaptive_wing_loss as adaptive_wing_loss
from jaxloss.regression.landmarks import wing_loss as wing_loss
from jaxloss.regression.probabilistic import gaussian_nll_loss as gaussian_nll_loss
from jaxloss.regression.probabilistic import quantile_loss as quantile_loss
from jaxloss.regression.robust import balanced_l1_loss as balanced_l1_loss
from jaxloss.regression.robust import charbonnier_loss as charbonnier_loss
from jaxloss.regression.robust import focal_l1_loss as focal_l1_loss
from jaxloss.regression.robust import general_robust_loss as general_robust_loss
from jaxloss.regression.robust import log_cosh as log_cosh
from jaxloss.regression.vectors import cosine_distance as cosine_distance
from jaxloss.regression.vectors import cosine_similarity as cosine_similarity
from jaxloss.regression.vectors import root_mean_squared_error as root_mean_squared_error
