"""Boxes: formats, areas, similarities, anchors, coding and suppression."""

from jaxloss.boxes.formats import area as area
from jaxloss.boxes.overlap import iou as iou
from jaxloss.boxes.overlap import pairwise as pairwise
