"""Rows of the softmax losses of `jaxloss.classification` that bend cross-entropy."""

from functools import partial

from tests.registry._row import Kind, Row, normal, uniform
from tests.registry.classification import distribution_zoo

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
    distributed(name="safe_softmax_cross_entropy"),
    distributed(
        name="poly_loss_cross_entropy",
        settings=({}, {"epsilon": -1.0}),
        hyperparameters={"epsilon": (-0.7, 0.0, 3.0)},
    ),
]
