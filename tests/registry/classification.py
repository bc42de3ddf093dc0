"""Rows of `jaxloss.classification`."""

from functools import partial

import numpy as np

from tests.registry._row import Arrays, Kind, Row, integers, normal, uniform

EDGES = [0.0, 1e-30, 1e-3, 0.5, 17.0, 50.0, 88.5, 104.0, 1e30]
LOGITS = np.array([*EDGES, *(-edge for edge in EDGES)])
WEIGHTS = np.array([0.5, 1.0, 4.0, 0.25])


def logit_zoo() -> Arrays:
    logits, labels = np.meshgrid(LOGITS, [0.0, 1.0, 0.3])
    return {"logits": logits.ravel(), "labels": labels.ravel()}


def probability_zoo() -> Arrays:
    values = [0.0, 1e-38, 2e-38, 1e-12, 1e-3, 0.5, 1 - 2.0**-24, 1.0]
    probabilities, labels = np.meshgrid(values, [0.0, 1.0, 0.3])
    return {"probabilities": probabilities.ravel(), "labels": labels.ravel()}


def class_zoo() -> np.ndarray:
    """Every triple of edges beside a fourth in turn, classes last."""
    triples = np.stack(np.meshgrid(LOGITS, LOGITS, LOGITS), -1).reshape(-1, 3)
    return np.column_stack([triples, np.resize(LOGITS, len(triples))])


def distribution_zoo() -> Arrays:
    logits = class_zoo()
    labels = np.array([[1.0, 0.0, 0.0, 0.0], [0.25, 0.0, 0.75, 0.0], [0.2, 0.3, 0.1, 0.4]])
    return {"logits": logits, "labels": labels[np.arange(len(logits)) % 3]}


def label_zoo(name: str = "logits") -> Arrays:
    logits = class_zoo()
    return {name: logits, "labels": (np.arange(len(logits)) % 4).astype(np.int32)}


def layer_zoo() -> Arrays:
    """Each feature is the logit of two or three of eleven classes."""
    return {
        "features": class_zoo(),
        "kernel": np.tile(np.eye(4), 3)[:, :11],
        "labels": label_zoo()["labels"],
    }


binary = partial(
    Row,
    kind=Kind.ELEMENTWISE,
    arrays={"logits": normal(8, 5, seed=1, scale=3), "labels": uniform(8, 5, seed=2)},
    result=(8, 5),
    differentiable=("logits", "labels"),
    zoo=logit_zoo,
)
multiclass = partial(
    Row,
    kind=Kind.CLASS,
    arrays={"logits": normal(8, 4, seed=3, scale=3), "labels": integers(8, high=4, seed=4)},
    result=(8,),
    differentiable=("logits",),
    class_axis={"logits": 1},
    zoo=label_zoo,
)

ROWS = [
    binary(
        name="sigmoid_binary_cross_entropy",
        settings=({}, {"positive_weight": 2.5}),
        hyperparameters={"positive_weight": (0.5, 1.0, 3.0)},
    ),
    binary(
        name="sigmoid_focal_loss",
        settings=(
            {},
            {"alpha": 0.25},
            *({"gamma": gamma} for gamma in (0.0, 0.5, 1.0, 1.5, 0.7, 3.3)),
        ),
        hyperparameters={"alpha": (0.1, 0.25, 0.9), "gamma": (0.0, 0.7, 2.0)},
    ),
    binary(
        name="binary_cross_entropy",
        arrays={"probabilities": uniform(8, 5, seed=1), "labels": uniform(8, 5, seed=2)},
        differentiable=("probabilities", "labels"),
        zoo=probability_zoo,
    ),
    multiclass(
        name="softmax_cross_entropy",
        arrays={"logits": normal(8, 4, seed=3, scale=3), "labels": uniform(8, 4, seed=4)},
        differentiable=("logits", "labels"),
        settings=({}, {"class_weights": WEIGHTS, "label_smoothing": 0.1}, {"temperature": 0.3}),
        hyperparameters={"label_smoothing": (0.0, 0.1, 0.5), "temperature": (0.5, 1.0, 3.0)},
        class_axis={"logits": 1, "labels": 1},
        zoo=distribution_zoo,
    ),
    multiclass(
        name="softmax_cross_entropy_with_integer_labels",
        settings=({}, {"class_weights": WEIGHTS, "label_smoothing": 0.1, "ignore_label": 3}),
        hyperparameters={"label_smoothing": (0.0, 0.1, 0.5), "temperature": (0.5, 1.0, 3.0)},
    ),
    multiclass(
        name="softmax_focal_loss",
        settings=(
            {},
            {"alpha": WEIGHTS, "ignore_label": 3},
            *({"gamma": gamma} for gamma in (0.0, 0.5, 1.0, 1.5, 0.7)),
        ),
        hyperparameters={
            "alpha": (0.1, 0.25, 0.9),
            "gamma": (0.0, 0.7, 2.0),
            "temperature": (0.5, 1.0, 3.0),
        },
    ),
    multiclass(
        name="negative_log_likelihood",
        arrays={
            "log_probabilities": -uniform(8, 4, seed=3, high=9.0),
            "labels": integers(8, high=4, seed=4),
        },
        differentiable=("log_probabilities",),
        settings=({}, {"class_weights": WEIGHTS, "ignore_label": 3}),
        class_axis={"log_probabilities": 1},
        zoo=partial(label_zoo, "log_probabilities"),
    ),
    Row(
        name="class_weights_of",
        kind=Kind.SELECTION,
        arrays={"labels": integers(8, 3, high=4, seed=4), "class_weights": WEIGHTS},
        result=(8, 3),
        settings=({}, {"ignore_label": 3}),
        differentiable=("class_weights",),
        shared=frozenset({"class_weights"}),
        any_shape=frozenset({"labels", "class_weights"}),
    ),
    multiclass(
        name="fused_linear_cross_entropy",
        arrays={
            "features": normal(8, 3, seed=3),
            "kernel": normal(3, 11, seed=5, scale=2),
            "labels": integers(8, high=11, seed=4),
        },
        differentiable=("features", "kernel"),
        settings=(
            {"chunk_size": 4},
            {},
            {"chunk_size": 5, "label_smoothing": 0.1, "ignore_label": 3, "bias": np.arange(11.0)},
            {"chunk_size": 4, "temperature": 0.3},
        ),
        hyperparameters={"label_smoothing": (0.0, 0.1, 0.5), "temperature": (0.5, 1.0, 3.0)},
        shared=frozenset({"kernel"}),
        class_axis={},
        zoo=layer_zoo,
        exempt={
            "gradient": "a custom_vjp has no forward mode for this law; "
            "tests/test_fused_linear.py compares gradients with the dense form's",
        },
    ),
]
