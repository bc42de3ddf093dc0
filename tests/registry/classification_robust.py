"""Rows of the softmax losses of `jaxloss.classification` that bend cross-entropy."""

from functools import partial

from tests.registry._row import Kind, Row, normal, uniform
from tests.registry.classification import distribution_zoo, multiclass

distributed = partial(
    Row,
    kind=Kind.CLASS,
    arrays={"logits": normal(8, 4, seed=3, scale=3), "labels": uniform(8, 4, seed=4)},
    result=(8,),
    differentiable=("logits", "labels"),
    class_axis={"logits": 1, "labels": 1},
    zoo=distribution_zoo,
)

ROWS = [
    distributed(
        name="safe_softmax_cross_entropy",
        settings=({}, {"temperature": 0.3}),
        hyperparameters={"temperature": (0.5, 1.0, 3.0)},
    ),
    distributed(
        name="poly_loss_cross_entropy",
        settings=({}, {"epsilon": -1.0}),
        hyperparameters={"epsilon": (-0.7, 0.0, 3.0), "temperature": (0.5, 1.0, 3.0)},
    ),
    multiclass(
        name="generalized_cross_entropy",
        settings=(
            {},
            {"exponent": 0.0, "ignore_label": 3},
            *({"exponent": exponent} for exponent in (1e-6, 0.5, 1.0)),
        ),
        hyperparameters={"exponent": (0.0, 0.3, 1.0), "temperature": (0.5, 1.0, 3.0)},
    ),
    multiclass(
        name="symmetric_cross_entropy",
        settings=({}, {"alpha": 6.0, "beta": 0.1, "log_floor": -9.2103, "ignore_label": 3}),
        hyperparameters={
            "alpha": (0.0, 0.1, 6.0),
            "beta": (0.0, 0.1, 1.0),
            "log_floor": (-9.2, -4.0, -1.0),
            "temperature": (0.5, 1.0, 3.0),
        },
    ),
    distributed(
        name="bi_tempered_logistic_loss",
        settings=(
            {},
            {"temperature1": 0.5, "temperature2": 0.8, "label_smoothing": 0.1},
            {"temperature1": 1.0, "temperature2": 1.0},
            {"temperature1": 0.2, "temperature2": 4.0},
        ),
        hyperparameters={
            "temperature1": (0.0, 0.8, 1.0),
            "temperature2": (0.7, 1.0, 3.0),
            "label_smoothing": (0.0, 0.1, 0.5),
        },
    ),
]
