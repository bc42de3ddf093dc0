"""Rows of `jaxloss.reduction`."""

from functools import partial

from tests.registry._row import Kind, Row, normal, uniform

row = partial(
    Row,
    kind=Kind.REDUCTION,
    arrays={"losses": normal(8, 5, seed=1), "weights": uniform(8, 5, seed=2, low=0.1)},
    result=(8,),
    settings=({"axis": 1},),
    differentiable=("losses", "weights"),
    any_shape=frozenset({"losses"}),
)

ROWS = [
    row(name="mean"),
    row(name="sum"),
    row(name="sum_and_weight"),
]
