"""Losses of a residual, `predictions - targets`, one element at a time or over an axis."""

from jaxloss.regression.elementary import absolute_error as absolute_error
from jaxloss.regression.elementary import huber_loss as huber_loss
from jaxloss.regression.elementary import l2_loss as l2_loss
from jaxloss.regression.elementary import smooth_l1_loss as smooth_l1_loss
from jaxloss.regression.elementary import squared_error as squared_error
