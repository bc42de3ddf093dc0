"""Rows of `jaxloss.regression`."""

from functools import partial

import numpy as np

from tests.registry._row import Arrays, Kind, Row, normal, uniform

EDGES = [0.0, 1e-30, 1e-18, 1e-7, 0.1, 1.0, 3.0, 1e4, 1e18, 1e30]


def residual_zoo() -> Arrays:
    values = np.array([*EDGES, *(-edge for edge in EDGES)])
    predictions, targets = np.meshgrid(values, values)
    return {"predictions": predictions.ravel(), "targets": targets.ravel()}


def heat_map_zoo() -> Arrays:
    distances = np.array([*EDGES, *(-edge for edge in EDGES)])
    targets, distances = np.meshgrid([0.0, 0.3, 0.5, 1.0], distances)
    return {"predictions": (targets + distances).ravel(), "targets": targets.ravel()}


def variance_zoo() -> Arrays:
    zoo, variances = residual_zoo(), np.array([0.0, 1e-7, 0.1, 1.0, 1e4, 1e18, 1e30])
    copies = {name: np.tile(array, len(variances)) for name, array in zoo.items()}
    return {**copies, "variance": np.repeat(variances, len(zoo["predictions"]))}


def vector_zoo() -> Arrays:
    """Pairs of vectors of three edges: unlike, equal and opposed.

    Short vectors are unlike only: where they point the same way, second derivatives of the order
    of their inverse square cancel, and any number may remain.
    """
    edges = np.array([0.0, 1e-15, -1e-18, 1e-3, 1.0, -3.0, 1e4, 1e18, -1e30])
    unlike, long = (
        np.stack(np.meshgrid(some, some, some), -1).reshape(-1, 3)
        for some in (edges, edges[[0, *range(3, 9)]])
    )
    return {
        "predictions": np.concatenate([unlike, long, long]),
        "targets": np.concatenate([np.roll(unlike, 311, 0), long, -long[:, ::-1]]),
    }


row = partial(
    Row,
    kind=Kind.ELEMENTWISE,
    arrays={"predictions": normal(8, 5, seed=1), "targets": normal(8, 5, seed=2)},
    result=(8, 5),
    differentiable=("predictions", "targets"),
    zoo=residual_zoo,
)
vectors = partial(
    row,
    kind=Kind.CLASS,
    arrays={"predictions": normal(8, 4, seed=1), "targets": normal(8, 4, seed=2)},
    result=(8,),
    class_axis={"predictions": 1, "targets": 1},
    zoo=vector_zoo,
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
    row(name="log_cosh"),
    row(
        name="charbonnier_loss",
        settings=({}, {"epsilon": 0.3}, {"epsilon": 0.0}),
        hyperparameters={"epsilon": (1e-3, 0.3, 2.0)},
    ),
    row(
        name="general_robust_loss",
        settings=tuple({"alpha": alpha, "scale": 0.7} for alpha in (1.3, 2.0, 0.0, -np.inf)),
        hyperparameters={"alpha": (-1.7, 0.0, 1.3), "scale": (0.3, 1.0, 2.1)},
    ),
    row(
        name="balanced_l1_loss",
        settings=({}, {"alpha": 0.7, "gamma": 1.1, "beta": 0.4}, {"beta": 0.0}, {"alpha": 0.01}),
        hyperparameters={
            "alpha": (0.01, 0.5, 1.2),
            "gamma": (0.4, 1.0, 1.5),
            "beta": (0.2, 1.0, 1.7),
        },
    ),
    row(
        name="focal_l1_loss",
        settings=({"beta": 0.8}, {"beta": 0.5, "alpha": 1.3}, {"beta": 1.0}),
        hyperparameters={"beta": (0.4, 0.8, 1.0), "alpha": (0.5, 1.0, 2.0)},
    ),
    row(
        name="wing_loss",
        settings=({}, {"width": 0.7, "curvature": 0.3}, {"width": 0.0}),
        hyperparameters={"width": (0.3, 1.0, 10.0), "curvature": (0.3, 1.0, 2.0)},
    ),
    row(
        name="adaptive_wing_loss",
        arrays={"predictions": normal(8, 5, seed=1), "targets": uniform(8, 5, seed=2)},
        settings=({}, {"omega": 3.0, "theta": 0.3, "epsilon": 0.4, "alpha": 3.3}),
        hyperparameters={
            "omega": (1.0, 7.0, 14.0),
            "theta": (0.1, 0.5, 1.3),
            "epsilon": (0.2, 1.0, 1.5),
            "alpha": (2.0, 2.1, 3.0),
        },
        zoo=heat_map_zoo,
    ),
    row(
        name="quantile_loss",
        settings=({"quantile": 0.9}, {"quantile": 0.0}, {"quantile": np.float32(0.3)}),
        hyperparameters={"quantile": (0.1, 0.5, 0.9)},
    ),
    row(
        name="gaussian_nll_loss",
        arrays={
            "predictions": normal(8, 5, seed=1),
            "targets": normal(8, 5, seed=2),
            "variance": uniform(8, 5, seed=3, low=0.1, high=3.0),
        },
        differentiable=("predictions", "targets", "variance"),
        settings=({}, {"epsilon": 0.02, "full": True}),
        hyperparameters={"epsilon": (1e-6, 0.5, 1.0)},
        zoo=variance_zoo,
    ),
    vectors(name="root_mean_squared_error"),
    vectors(
        name="cosine_similarity",
        settings=({}, {"epsilon": 1e-3}),
        hyperparameters={"epsilon": (0.0, 1e-3, 2.0)},
    ),
    vectors(
        name="cosine_distance",
        settings=({}, {"epsilon": 1e-3}),
        hyperparameters={"epsilon": (0.0, 1e-3, 2.0)},
    ),
]
