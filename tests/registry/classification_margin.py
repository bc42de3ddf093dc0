"""Rows of `jaxloss.classification.margin`."""

import numpy as np

from tests.registry._row import Arrays, Kind, Row, integers, normal
from tests.registry.classification import LOGITS, label_zoo

SIGNS = np.where(normal(8, 5, seed=2) > 0, 1.0, -1.0)


def score_zoo() -> Arrays:
    scores, targets = np.meshgrid([*LOGITS, 1.0, -1.0], [1.0, -1.0])
    return {"predictor_outputs": scores.ravel(), "targets": targets.ravel()}


def score_label_zoo() -> Arrays:
    return label_zoo("scores")


ROWS = [
    Row(
        name="hinge_loss",
        kind=Kind.ELEMENTWISE,
        arrays={"predictor_outputs": normal(8, 5, seed=1), "targets": SIGNS},
        result=(8, 5),
        differentiable=("predictor_outputs", "targets"),
        zoo=score_zoo,
    ),
    Row(
        name="multiclass_hinge_loss",
        kind=Kind.CLASS,
        arrays={"scores": normal(8, 4, seed=3), "labels": integers(8, high=4, seed=4)},
        result=(8,),
        settings=({}, {"ignore_label": 3}),
        differentiable=("scores",),
        class_axis={"scores": 1},
        zoo=score_label_zoo,
    ),
]
