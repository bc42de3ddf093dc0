"""Rows of `jaxloss.distribution`."""

from functools import partial

import numpy as np

from tests.registry._row import Arrays, Kind, Row, normal, uniform

PROBABILITIES = np.array([0.0, 1e-37, 1e-30, 1e-12, 1e-3, 0.3, 0.5, 1 - 2.0**-24, 1.0])
LOGARITHMS = np.array([-np.inf, -1e30, -104.0, -88.5, -50.0, -1.0, -1e-3, -1e-7, 0.0, 3.0])
LEAST = 1e-7  # what float16 keeps from being 0
BASES = {"base": (2.0, np.e, 10.0)}


def triples(values: np.ndarray) -> np.ndarray:
    return np.stack(np.meshgrid(values, values, values), -1).reshape(-1, 3)


def probability_zoo(name: str = "probabilities") -> Arrays:
    return {name: triples(PROBABILITIES)}


def event_zoo() -> Arrays:
    return {"probabilities": PROBABILITIES[PROBABILITIES > LEAST]}


def pair_zoo(first: str, second: str, predictions: np.ndarray) -> Arrays:
    """Every prediction with every target, three pairs a row, without impossible events."""
    p, t = (grid.ravel() for grid in np.meshgrid(predictions, PROBABILITIES))
    if (first, second) != ("p", "q"):
        possible = (p > -np.inf if np.any(predictions < 0) else p > LEAST) | (t == 0)
        p, t = p[possible], t[possible]
    return {
        first: np.stack([p, np.roll(p, 7), np.roll(p, 31)], -1),
        second: np.stack([t, np.roll(t, 7), np.roll(t, 31)], -1),
    }


def logarithm_zoo() -> Arrays:
    p, t = (grid.ravel() for grid in np.meshgrid(LOGARITHMS, LOGARITHMS))
    possible = (p > -np.inf) | (t < -1e3)
    p, t = p[possible], t[possible]
    return {
        "log_predictions": np.stack([p, np.roll(p, 7), np.roll(p, 31)], -1),
        "log_targets": np.stack([t, np.roll(t, 7), np.roll(t, 31)], -1),
    }


P, T = (np.random.default_rng(seed).dirichlet(np.ones(4), 8) for seed in (1, 2))
row = partial(Row, kind=Kind.CLASS, result=(8,), settings=({}, {"base": 2}), hyperparameters=BASES)
pair = partial(
    row,
    arrays={"log_predictions": np.log(P), "targets": T},
    differentiable=("log_predictions", "targets"),
    class_axis={"log_predictions": 1, "targets": 1},
    zoo=partial(pair_zoo, "log_predictions", "targets", LOGARITHMS),
)
smoothing = partial(
    Row,
    kind=Kind.CLASS,
    arrays={"labels": uniform(8, 4, seed=3)},
    result=(8, 4),
    settings=({"alpha": 0.1}, {"alpha": 0.0}),
    differentiable=("labels",),
    hyperparameters={"alpha": (0.0, 0.1, 0.7)},
    class_axis={"labels": 1},
    zoo=partial(probability_zoo, "labels"),
)

ROWS = [
    row(
        name="information_content",
        kind=Kind.ELEMENTWISE,
        arrays={"probabilities": uniform(8, 5, seed=1, low=0.01)},
        result=(8, 5),
        differentiable=("probabilities",),
        any_shape=frozenset({"probabilities"}),
        zoo=event_zoo,
    ),
    row(
        name="entropy",
        arrays={"probabilities": P},
        differentiable=("probabilities",),
        class_axis={"probabilities": 1},
        any_shape=frozenset({"probabilities"}),
        zoo=probability_zoo,
    ),
    row(
        name="cross_entropy",
        arrays={"probabilities": P, "targets": T},
        differentiable=("probabilities", "targets"),
        class_axis={"probabilities": 1, "targets": 1},
        zoo=partial(pair_zoo, "probabilities", "targets", PROBABILITIES),
    ),
    pair(name="kl_divergence"),
    pair(
        name="kl_divergence_with_log_targets",
        arrays={"log_predictions": np.log(P), "log_targets": np.log(T)},
        differentiable=("log_predictions", "log_targets"),
        class_axis={"log_predictions": 1, "log_targets": 1},
        zoo=logarithm_zoo,
    ),
    pair(
        name="generalized_kl_divergence",
        arrays={"log_predictions": normal(8, 4, seed=4), "targets": uniform(8, 4, seed=5, high=3)},
    ),
    row(
        name="jensen_shannon_divergence",
        arrays={"p": P, "q": T},
        differentiable=("p", "q"),
        class_axis={"p": 1, "q": 1},
        zoo=partial(pair_zoo, "p", "q", PROBABILITIES),
    ),
    smoothing(name="smooth_labels", any_shape=frozenset({"labels"})),
    smoothing(name="smooth_labels_over_others", any_shape=frozenset({"labels"})),
]
