"""Rows of `jaxloss.segmentation`."""

from functools import partial

import numpy as np

from tests.registry._row import Arrays, Kind, Row, normal, uniform

H, W, C = 6, 5, 4


def hard(*shape: int, seed: int) -> np.ndarray:
    return (uniform(*shape, seed=seed) < 0.4).astype(np.float64)


def region_zoo() -> Arrays:
    """Every pair of edges alone in an otherwise exact image, and uniform images."""
    values = np.array([0.0, 1e-38, 2e-38, 1e-12, 1e-7, 0.3, 1 - 2.0**-24, 1.0])
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


def hinge_zoo() -> Arrays:
    values = np.array([0.0, 1e-30, 1.0, 1 - 2.0**-24, 17.0, 1e30])
    values = np.concatenate([values, -values])[:, None, None, None]
    return {
        "logits": values * np.ones((1, H, W, C)),
        "labels": np.broadcast_to(hard(1, H, W, C, seed=5), (len(values), H, W, C)),
    }


def boundary_zoo() -> Arrays:
    predictions = region_zoo()["predictions"]
    distances = np.resize([0.0, -1.0, 2.5, 1e4, 1e-30], predictions.shape)
    return {"predictions": predictions, "distance_map": distances}


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
        settings=({}, {"gamma": 0.7}, {"gamma": 1.0}, {"gamma": 0.5}),
        hyperparameters={**WEIGHTS, "gamma": (0.5, 1.0, 2.0)},
    ),
    region(name="log_cosh_dice_loss", settings=({}, {"smooth": 1.0}), hyperparameters=SMOOTH),
    region(
        name="unified_focal_loss",
        result=(8,),
        differentiable=("predictions",),
        settings=({}, {"gamma": 0.0, "delta": 0.3, "weight": 0.2}),
        hyperparameters={
            "delta": (0.2, 0.6, 0.9),
            "gamma": (0.0, 0.5, 0.9),
            "weight": (0.0, 0.5, 1.0),
        },
    ),
    region(
        name="lovasz_softmax_loss",
        arrays={
            "predictions": uniform(8, H, W, C, seed=1),
            "targets": hard(8, H, W, C, seed=2),
        },
        differentiable=("predictions",),
    ),
    region(
        name="lovasz_hinge_loss",
        arrays={"logits": normal(8, H, W, C, seed=1), "labels": hard(8, H, W, C, seed=2)},
        differentiable=("logits",),
        settings=({"axis": (-3, -2)},),
        class_axis={"logits": 3, "labels": 3},
        zoo=hinge_zoo,
    ),
    region(
        name="boundary_loss",
        arrays={
            "predictions": uniform(8, H, W, C, seed=1),
            "distance_map": normal(8, H, W, C, seed=2, scale=3.0),
        },
        differentiable=("predictions",),
        class_axis={"predictions": 3, "distance_map": 3},
        zoo=boundary_zoo,
    ),
    region(
        name="hausdorff_loss",
        differentiable=("predictions",),
        settings=({}, {"exponent": 1.3}),
        hyperparameters={"exponent": (0.0, 1.3, 2.0)},
        exempt={"void": "distances are measured in the whole image, void pixels included"},
    ),
    region(
        name="centerline_dice_loss",
        differentiable=("predictions",),
        settings=({}, {"iterations": 2, "smooth": 0.0}),
        hyperparameters=SMOOTH,
        exempt={"void": "centre lines are found in the whole image, where pixels have neighbours"},
    ),
    Row(
        name="soft_skeleton",
        kind=Kind.ELEMENTWISE,
        arrays={"predictions": uniform(8, H, W, C, seed=1)},
        result=(8, H, W, C),
        settings=({}, {"iterations": 2}),
        differentiable=("predictions",),
        class_axis={"predictions": 3},
        any_shape=frozenset({"predictions"}),
        zoo=lambda: {"predictions": region_zoo()["predictions"]},
    ),
    Row(
        name="signed_distance_map",
        kind=Kind.SELECTION,
        arrays={"mask": hard(8, H, W, seed=3) > 0},
        result=(8, H, W),
        any_shape=frozenset({"mask"}),
        exempt={"dtypes": "a boolean mask has no precision to keep: distances are float32"},
    ),
]
