"""Rows of `jaxloss.regression`."""

from functools import partial

import numpy as np

from tests.registry._row import Arrays, Kind, Row, normal

EDGES = [0.0, 1e-30, 1e-18, 1e-7, 0.1, 1.0, 3.0, 1e4, 1e18, 1e30]


def residual_zoo() -> Arrays:
    values = np.array([*EDGES, *(-edge for edge in EDGES)])
    predictions, targets = np.meshgrid(values, values)
    return {"predictions": predictions.ravel(), "targets": targets.ravel()}


row = partial(
    Row,
    kind=Kind.ELEMENTWISE,
    arrays={"predictions": normal(8, 5, seed=1), "targets": normal(8, 5, seed=2)},
    result=(8, 5),
    differentiable=("predictions", "targets"),
    zoo=residual_zoo,
)

ROWS = [
    row(name="squared_error"),
    row(name="l2_loss"),
    row(name="absolute_error"),
    row(
        name="huber_loss",
        settings=({}, {"delta": 0.3}, {"delta": 0.0}),
        hyperparameters={"delta": (0.2, 1.0, 1.7)},
    ),
    row(
        name="smooth_l1_loss",
        settings=({}, {"beta": 0.3}, {"beta": 0.0}),
        hyperparameters={"beta": (0.2, 1.0, 1.7)},
    ),
]
