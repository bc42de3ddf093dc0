"""Rows of `jaxloss.matching`."""

import numpy as np

from jaxloss import boxes as similarities
from tests.registry._row import Kind, Row, boxes, uniform

OBJECTS = np.arange(11) < np.array([11, 4, 9, 1, 0, 11, 7, 10])[:, None]
POSITIVE = uniform(8, 9, seed=5) < np.array([0.3, 0.0, 0.2, 0.5, 0.1, 0.9, 0.2, 1.0])[:, None]

ROWS = [
    Row(
        name="matching.match_anchors",
        kind=Kind.SELECTION,
        arrays={
            "anchors": boxes(30, seed=1, size=40.0),
            "boxes": boxes(8, 11, seed=2, size=50.0),
            "where": OBJECTS,
        },
        result=(8, 30),
        settings=(
            {"positive_threshold": 0.4, "negative_threshold": 0.2},
            {"force_match": None},
            {"force_match": "bipartite"},
            {"force_match": "own", "negative_threshold": 0.4},
            {"similarity": similarities.diou},
        ),
        hyperparameters={
            "positive_threshold": (0.2, 0.5, 0.8),
            "negative_threshold": (0.0, 0.1, 0.4),
        },
        shared=frozenset({"anchors"}),
        per_image=True,
        padded=("boxes",),
        any_shape=frozenset({"anchors"}),
    ),
    Row(
        name="matching.mine_hard_negatives",
        kind=Kind.SELECTION,
        arrays={"losses": uniform(8, 9, seed=4, high=3.0), "positive": POSITIVE},
        result=(8, 9),
        settings=({}, {"ratio": 1.5, "minimum": 2}, {"negative": uniform(9, seed=6) < 0.6}),
        per_image=True,
    ),
]
