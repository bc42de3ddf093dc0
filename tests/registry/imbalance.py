"""Rows of `jaxloss.classification.imbalance`."""

from functools import partial

import numpy as np

import jaxloss
from tests.registry._row import Arrays, Kind, Row, integers, normal
from tests.registry.classification import class_zoo, label_zoo, logit_zoo

COUNTS = np.array([5000, 30, 700, 2], np.int32)
SEEN = jaxloss.SeesawState(COUNTS.astype(np.float32))
BINS = jaxloss.gradient_harmonized_init(4)
RUNNING = jaxloss.GradientHarmonizedState(np.array([40.0, 3.0, 0.0, 7.5], np.float32))
NO_ARRAYS = {
    "vmap": "every argument is a static setting, none an array",
    "errors": "every argument is a static setting, checked in tests/test_imbalance.py",
    "dtypes": "takes no arrays, so that the result is always float32",
    "mesh": "the result has no batch axis to shard",
}


def counted_zoo(name: str) -> Arrays:
    return {**label_zoo(name), "counts": COUNTS}


def batch_zoo() -> Arrays:
    """Batches of four examples, with every pair of extreme logits somewhere."""
    logits = class_zoo()
    logits = logits[: len(logits) // 4 * 4].reshape(-1, 4, 4)
    return {"logits": logits, "labels": (np.arange(logits[..., 0].size) % 4).reshape(-1, 4)}


def element_zoo() -> Arrays:
    return {name: np.stack([a, a[::-1]], 1) for name, a in logit_zoo().items()}


counted = partial(
    Row,
    kind=Kind.CLASS,
    result=(8,),
    shared=frozenset({"counts"}),
)

ROWS = [
    Row(
        name="class_balanced_weights",
        kind=Kind.SELECTION,
        arrays={"counts": np.array([[4000, 3, 50, 0, 700]] * 8, np.int32).cumsum(0, np.int32)},
        result=(8, 5),
        settings=({}, {"beta": 0.0}, {"beta": 1.0}),
        hyperparameters={"beta": (0.5, 0.75, 1.0)},
        any_shape=frozenset({"counts"}),
        exempt={
            "dtypes": "of integer counts the weights are float32: tests/test_imbalance.py has "
            "floating-point ones"
        },
    ),
    counted(
        name="logit_adjusted_cross_entropy",
        arrays={
            "logits": normal(8, 4, seed=3, scale=3),
            "labels": integers(8, high=4, seed=4),
            "counts": COUNTS,
        },
        settings=({}, {"ignore_label": 3}, {"temperature": 0.3}),
        hyperparameters={"temperature": (0.0, 1.0, 1.5)},
        differentiable=("logits",),
        class_axis={"logits": 1},
        zoo=partial(counted_zoo, "logits"),
    ),
    counted(
        name="ldam_loss",
        arrays={
            "cosines": np.tanh(normal(8, 4, seed=3)),
            "labels": integers(8, high=4, seed=4),
            "counts": COUNTS,
        },
        settings=({}, {"ignore_label": 3}, {"maximum_margin": 0.3, "scale": 5.0}),
        hyperparameters={"maximum_margin": (0.0, 0.3, 0.5), "scale": (1.0, 10.0, 30.0)},
        differentiable=("cosines",),
        class_axis={"cosines": 1},
        zoo=partial(counted_zoo, "cosines"),
    ),
    Row(
        name="seesaw_loss",
        kind=Kind.CLASS,
        arrays={
            "logits": normal(8, 5, 4, seed=3, scale=3),
            "labels": integers(8, 5, high=4, seed=4),
            "where": normal(8, 5, seed=5) > -1,
        },
        result=(8, 5),
        settings=(
            {"state": SEEN},
            {"state": jaxloss.seesaw_init(4), "ignore_label": 3},
            {"state": SEEN, "mitigation": 0.3, "compensation": 1.0, "minimum_score": 0.1},
            {"state": SEEN, "temperature": 0.3},
        ),
        hyperparameters={
            "mitigation": (0.0, 0.8, 1.5),
            "compensation": (0.0, 1.0, 2.0),
            "minimum_score": (0.01, 0.1, 0.3),
            "temperature": (0.5, 1.0, 3.0),
        },
        differentiable=("logits",),
        padded=("logits", "labels"),
        stateful=True,
        class_axis={"logits": 2},
        zoo=batch_zoo,
        exempt={
            "gradient": "the factors are held constant under differentiation, as in the paper: "
            "tests/test_imbalance.py differentiates the formula with them fixed"
        },
    ),
    Row(
        name="gradient_harmonized_loss",
        kind=Kind.CLASS,
        arrays={
            "logits": normal(8, 5, seed=3, scale=3),
            "labels": integers(8, 5, high=2, seed=4).astype(np.float64),
            "where": normal(8, 5, seed=5) > -1,
        },
        result=(8, 5),
        settings=({"state": BINS}, {"state": RUNNING, "momentum": 0.75}),
        hyperparameters={"momentum": (0.0, 0.3, 0.75)},
        differentiable=("logits", "labels"),
        padded=("logits", "labels"),
        stateful=True,
        zoo=element_zoo,
    ),
    Row(
        name="seesaw_init",
        kind=Kind.SELECTION,
        arrays={},
        settings=({"classes": 4},),
        result=(4,),
        exempt=NO_ARRAYS,
    ),
    Row(
        name="gradient_harmonized_init",
        kind=Kind.SELECTION,
        arrays={},
        settings=({}, {"bins": 30}),
        result=(10,),
        exempt=NO_ARRAYS,
    ),
]
