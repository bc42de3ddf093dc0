"""Rows of `jaxloss.boxes.suppression`."""

from functools import partial

import numpy as np

from jaxloss import boxes as similarities
from tests.registry._row import Kind, Row, boxes, integers, uniform

EXISTS = np.arange(7) < np.array([7, 6, 7, 4, 2, 7, 0, 5])[:, None]

selection = partial(
    Row,
    kind=Kind.SELECTION,
    arrays={
        "boxes": boxes(8, 7, seed=1, size=40.0) - 20.0,
        "scores": uniform(8, 7, seed=2),
        "classes": integers(8, 7, high=2, seed=3),
        "where": EXISTS,
    },
    result=(8, 5),
    per_image=True,
    padded=("boxes", "scores", "classes"),
)

ROWS = [
    selection(
        name="boxes.non_max_suppression",
        settings=(
            {"max_outputs": 5, "iou_threshold": 0.2},
            {"max_outputs": 5, "score_threshold": 0.3},
            {"max_outputs": 5, "similarity": similarities.diou},
        ),
    ),
    selection(
        name="boxes.soft_non_max_suppression",
        settings=({"max_outputs": 5}, {"max_outputs": 5, "decay": "linear"}),
        hyperparameters={"sigma": (0.1, 0.5, 2.0), "score_threshold": (0.0, 0.1, 0.5)},
    ),
    selection(
        name="boxes.matrix_non_max_suppression",
        settings=(
            {"max_outputs": 5},
            {"max_outputs": 5, "decay": "linear", "max_candidates": 3},
        ),
        hyperparameters={"sigma": (0.1, 0.5, 2.0), "score_threshold": (0.0, 0.1, 0.5)},
    ),
    Row(
        name="boxes.distance_penalized_iou",
        kind=Kind.SELECTION,
        arrays={"a": boxes(8, 5, seed=1), "b": boxes(8, 5, seed=2)},
        result=(8, 5),
        hyperparameters={"exponent": (0.6, 0.9, 1.0)},
    ),
]
