"""Boxes: formats, areas, similarities, anchors, coding and suppression."""

from jaxloss.boxes.anchors import anchor_grid as anchor_grid
from jaxloss.boxes.anchors import grid_points as grid_points
from jaxloss.boxes.anchors import retinanet_anchors as retinanet_anchors
from jaxloss.boxes.anchors import ssd_anchors as ssd_anchors
from jaxloss.boxes.coding import decode_deltas as decode_deltas
from jaxloss.boxes.coding import decode_distances as decode_distances
from jaxloss.boxes.coding import decode_distribution as decode_distribution
from jaxloss.boxes.coding import encode_deltas as encode_deltas
from jaxloss.boxes.coding import encode_distances as encode_distances
from jaxloss.boxes.formats import area as area
from jaxloss.boxes.formats import clip as clip
from jaxloss.boxes.formats import convert as convert
from jaxloss.boxes.formats import scale as scale
from jaxloss.boxes.overlap import ciou as ciou
from jaxloss.boxes.overlap import diou as diou
from jaxloss.boxes.overlap import giou as giou
from jaxloss.boxes.overlap import iou as iou
from jaxloss.boxes.overlap import pairwise as pairwise
from jaxloss.boxes.rotated import rotated_corners as rotated_corners
from jaxloss.boxes.rotated import rotated_from_corners as rotated_from_corners
from jaxloss.boxes.rotated import rotated_iou as rotated_iou
from jaxloss.boxes.suppression import Selection as Selection
from jaxloss.boxes.suppression import non_max_suppression as non_max_suppression
