"""Rows of `jaxloss.boxes.suppression`."""

import numpy as np

from jaxloss import boxes as similarities
from tests.registry._row import Kind, Row, boxes, integers, uniform

EXISTS = np.arange(7) < np.array([7, 6, 7, 4, 2, 7, 0, 5])[:, None]

ROWS = [
    Row(
        name="boxes.non_max_suppression",
        kind=Kind.SELECTION,
        arrays={
            "boxes": boxes(8, 7, seed=1, size=40.0) - 20.0,
            "scores": uniform(8, 7, seed=2),
            "classes": integers(8, 7, high=2, seed=3),
            "where": EXISTS,
        },
        result=(8, 5),
        settings=(
            {"max_outputs": 5, "iou_threshold": 0.2},
            {"max_outputs": 5, "score_threshold": 0.3},
            {"max_outputs": 5, "similarity": similarities.diou},
        ),
        per_image=True,
        padded=("boxes", "scores", "classes"),
    ),
]
