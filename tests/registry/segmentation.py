"""Rows of `jaxloss.segmentation`."""

from functools import partial

import numpy as np

from tests.registry._row import Arrays, Kind, Row, uniform

H, W, C = 6, 5, 4


def hard(*shape: int, seed: int) -> np.ndarray:
    return (uniform(*shape, seed=seed) < 0.4).astype(np.float64)


def region_zoo() -> Arrays:
    """Every pair of edges alone in an otherwise exact image, and uniform images."""
    values = np.array([0.0, 1e-38, 1e-12, 1e-7, 0.3, 1 - 2.0**-24, 1.0])
    p, y = (v.ravel() for v in np.meshgrid(values, values))
    exact = hard(1, H, W, C, seed=5)
    alone = np.broadcast_to(exact, (len(p), H, W, C)).copy()
    predictions, targets = alone.copy(), alone
    predictions[:, 2, 3, 1], targets[:, 2, 3, 1] = p, y
    even = np.ones((1, H, W, C))
    return {
        "predictions": np.concatenate([predictions, p[:, None, None, None] * even]),
        "targets": np.concatenate([targets, y[:, None, None, None] * even]),
    }


region = partial(
    Row,
    kind=Kind.REGION,
    arrays={"predictions": uniform(8, H, W, C, seed=1), "targets": uniform(8, H, W, C, seed=2)},
    result=(8, C),
    differentiable=("predictions", "targets"),
    class_axis={"predictions": 3, "targets": 3},
    zoo=region_zoo,
)
SMOOTH = {"smooth": (0.1, 1.0, 3.0)}
WEIGHTS = {"alpha": (0.3, 0.5, 1.0), "beta": (0.2, 0.7, 1.0), **SMOOTH}

ROWS = [
    region(
        name="dice_loss",
        settings=({}, {"squared": True}, {"smooth": 1.0}),
        hyperparameters=SMOOTH,
    ),
    region(
        name="generalized_dice_loss",
        result=(8,),
        differentiable=("predictions",),
    ),
    region(name="jaccard_loss", settings=({}, {"smooth": 1.0}), hyperparameters=SMOOTH),
    region(
        name="tversky_loss",
        settings=({}, {"alpha": 0.9, "beta": 0.2, "smooth": 0.5}),
        hyperparameters=WEIGHTS,
    ),
    region(
        name="focal_tversky_loss",
        settings=({}, {"gamma": 0.7}, {"gamma": 1.0}),
        hyperparameters={**WEIGHTS, "gamma": (0.5, 1.0, 2.0)},
    ),
    region(name="log_cosh_dice_loss", settings=({}, {"smooth": 1.0}), hyperparameters=SMOOTH),
]
