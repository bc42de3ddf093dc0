"""The pieces of the IoU family: penalties, transforms of the overlap, and weights.

A loss of the family is an overlap term, transformed, penalties added to it, and a weight. The
overlap terms are themselves losses and similarities: `jaxloss.iou_loss` and `jaxloss.boxes.iou`, or
of boxes with other sides `jaxloss.inner_iou_loss` and `jaxloss.boxes.inner_iou`, or
`jaxloss.log_iou_loss`. All pieces are total, and so are sums and products of them, and powers of
penalties by `powered_penalty`.
"""

from jaxloss.boxes.terms.distances import angular_distance as angular_distance
from jaxloss.boxes.terms.distances import center_distance as center_distance
from jaxloss.boxes.terms.distances import corner_distance as corner_distance
from jaxloss.boxes.terms.distances import distance_attention as distance_attention
from jaxloss.boxes.terms.distances import edge_distance as edge_distance
from jaxloss.boxes.terms.distances import empty_fraction as empty_fraction
from jaxloss.boxes.terms.distances import squared_corner_distance as squared_corner_distance
from jaxloss.boxes.terms.distances import wasserstein_distance as wasserstein_distance
from jaxloss.boxes.terms.distances import weighted_center_distance as weighted_center_distance
from jaxloss.boxes.terms.shapes import aspect_difference as aspect_difference
from jaxloss.boxes.terms.shapes import aspect_penalty as aspect_penalty
from jaxloss.boxes.terms.shapes import shape_difference as shape_difference
from jaxloss.boxes.terms.shapes import side_difference as side_difference
from jaxloss.boxes.terms.shapes import weighted_shape_difference as weighted_shape_difference
from jaxloss.boxes.terms.transforms import focal_weight as focal_weight
from jaxloss.boxes.terms.transforms import interval as interval
from jaxloss.boxes.terms.transforms import powered as powered
from jaxloss.boxes.terms.transforms import powered_penalty as powered_penalty
from jaxloss.boxes.terms.transforms import rectified as rectified
