"""Rows of `jaxloss.detection`."""

import functools
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

import numpy as np

import jaxloss
from tests.registry._row import Arrays, Kind, Row, boxes, integers, normal, uniform

ANCHORS = np.concatenate([boxes(19, seed=1), boxes(8, seed=2) + 25.0])
OBJECTS = boxes(8, 6, seed=3)
WHERE = np.random.default_rng(4).random((8, 6)) < [[0.8]] * 6 + [[1.0], [0.0]]
COORDINATES = [0.0, 1e-18, 1e-7, 1e-3, 1.0, 37.0, 640.0]
DELTAS = [0.0, 1e-18, 1e-3, -1.0, 3.0, -30.0]
LOGITS = [0.0, 1e-18, 1.0, -3.0, 30.0, -1e4]


class TotalRow(Row):
    """`total` takes a NamedTuple: its fields are the arrays here."""

    @cached_property
    def function(self) -> Callable[..., Any]:
        total = jaxloss.detection.total

        @functools.wraps(total)
        def function(**arrays: Any) -> Any:
            setting = {"weights": arrays.pop("weights")} if "weights" in arrays else {}
            return total(jaxloss.detection.SSDTerms(**arrays), **setting)

        return function


def zoo() -> Arrays:
    """Images of edge boxes, deltas and logits, half of them within float16; anchors are objects."""
    parts = (images(6), images(7, coordinate=1e6, delta=1e18, logit=1e30))
    both = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return {**both, "anchors": ANCHORS}


def images(seed: int, coordinate: float = 1e4, delta: float = 1e4, logit: float = 6e4) -> Arrays:
    rng = np.random.default_rng(seed)

    def choose(values: list[float], largest: float, *shape: int) -> np.ndarray:
        return rng.choice([*values, largest, -largest], (24, *shape))

    corner = choose(COORDINATES, coordinate, 3, 2)
    boxes = np.concatenate([corner, corner + np.abs(choose(COORDINATES, coordinate, 3, 2))], -1)
    exact = np.broadcast_to(ANCHORS[:3], boxes.shape)
    return {
        "box_deltas": choose(DELTAS, delta, 27, 4),
        "class_logits": choose(LOGITS, logit, 27, 4),
        "boxes": np.concatenate([boxes, exact], 1),
        "labels": rng.integers(1, 4, (24, 6)).astype(np.int32),
        "where": rng.random((24, 6)) < 0.9,
    }


row = partial(
    Row,
    kind=Kind.COMPOSITE,
    arrays={
        "box_deltas": normal(8, 27, 4, seed=6),
        "class_logits": normal(8, 27, 4, seed=7, scale=2.0),
        "anchors": ANCHORS,
        "boxes": OBJECTS,
        "labels": integers(8, 6, low=1, high=4, seed=8),
        "where": WHERE,
    },
    result=(8,),
    differentiable=("box_deltas", "class_logits"),
    shared=frozenset({"anchors"}),
    padded=("boxes", "labels"),
    zoo=zoo,
)

ROWS = [
    row(
        name="detection.ssd_loss",
        settings=(
            {},
            {"box_loss": jaxloss.giou_loss, "minimum_negatives": 2, "force_match": "bipartite"},
            {"positive_threshold": 0.4, "negative_threshold": 0.2, "force_match": None},
        ),
        hyperparameters={
            "negative_ratio": (0.5, 1.0, 3.0),
            "positive_threshold": (0.3, 0.5, 0.7),
            "coder_weights": (1.0, 5.0, 10.0),
        },
    ),
    row(
        name="detection.retinanet_loss",
        settings=(
            {},
            {"box_loss": jaxloss.diou_loss, "alpha": None, "gamma": 1.5, "force_match": "last"},
        ),
        hyperparameters={
            "alpha": (0.1, 0.25, 0.6),
            "gamma": (0.5, 1.5, 2.0),
            "negative_threshold": (0.1, 0.3, 0.4),
        },
    ),
    TotalRow(
        name="detection.total",
        kind=Kind.REDUCTION,
        arrays={
            "classification": uniform(8, seed=10, high=9.0),
            "localization": uniform(8, seed=9, high=9.0),
            "positives": np.arange(8.0),
        },
        settings=({}, {"weights": {"localization": 2.0}}),
        result=(8,),
        differentiable=("classification", "localization"),
    ),
]
