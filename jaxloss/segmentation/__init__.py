"""Predicted maps against target maps: regions, their boundaries and their skeletons."""

from jaxloss.segmentation.regions import dice_loss as dice_loss
from jaxloss.segmentation.regions import focal_tversky_loss as focal_tversky_loss
from jaxloss.segmentation.regions import generalized_dice_loss as generalized_dice_loss
from jaxloss.segmentation.regions import jaccard_loss as jaccard_loss
from jaxloss.segmentation.regions import log_cosh_dice_loss as log_cosh_dice_loss
from jaxloss.segmentation.regions import tversky_loss as tversky_loss
