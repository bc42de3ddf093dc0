"""Whole losses of detectors: matching, coding, classification and box regression, one image each.

Each returns sums and counts; `total` adds them and says how to normalise.
"""

from jaxloss.detection.retinanet import RetinaNetTerms as RetinaNetTerms
from jaxloss.detection.retinanet import retinanet_loss as retinanet_loss
from jaxloss.detection.ssd import SSDTerms as SSDTerms
from jaxloss.detection.ssd import ssd_loss as ssd_loss
from jaxloss.detection.terms import total as total
