"""Rows of `jaxloss.boxes`: formats, similarities and the losses over them."""

from functools import cached_property, partial

import numpy as np

import jaxloss
import jaxloss.boxes
from tests.registry._row import Arrays, Kind, Row, boxes

SIDES = np.array([0.0, 1e-18, 1e-7, 1e-3, 1.0, 37.0, 640.0, 1e6])
OFFSETS = np.array([0.0, 1e-18, 1e-7, 1e-3, 0.5, 37.0, 640.0, 1e6])


def edge_pairs(count: int = 20_000) -> Arrays:
    """Pairs of boxes with sides and offsets over twenty-four orders of magnitude.

    A quarter share edges, corners or everything; some of each are inverted.
    """
    rng = np.random.default_rng(0)
    corners = rng.choice(OFFSETS, (count, 2, 2)) * rng.choice([-1, 1], (count, 2, 2))
    sides = rng.choice(SIDES, (count, 2, 2))
    sides[::9] *= rng.choice([-1, 1], sides[::9].shape)
    corners[1::8, 1] = corners[1::8, 0]
    sides[2::8, 1] = sides[2::8, 0]
    corners[3::16, 1], sides[3::16, 1] = corners[3::16, 0], sides[3::16, 0]
    corners[4::16, 1] = corners[4::16, 0] + sides[4::16, 0]
    pairs = np.concatenate([corners, corners + sides], -1).astype(np.float32).astype(np.float64)
    return {"predictions": pairs[:, 0], "targets": pairs[:, 1]}


def similarity_pairs() -> Arrays:
    return dict(zip(("a", "b"), edge_pairs().values(), strict=True))


class Pairwise(Row):
    """The row of a function that makes functions: the laws call what it makes of `iou`."""

    @cached_property
    def function(self):
        def pairwise(a, b):
            return jaxloss.boxes.pairwise(jaxloss.boxes.iou)(a, b)

        pairwise.__doc__ = jaxloss.boxes.pairwise.__doc__
        return pairwise


similarity = partial(
    Row,
    kind=Kind.PAIRWISE,
    arrays={"a": boxes(8, 5, seed=1), "b": boxes(8, 5, seed=2)},
    result=(8, 5),
    differentiable=("a", "b"),
    zoo=similarity_pairs,
)

ROWS = [
    Row(
        name="boxes.area",
        kind=Kind.GEOMETRY,
        arrays={"boxes": boxes(8, 5, seed=1)},
        result=(8, 5),
        differentiable=("boxes",),
        any_shape=frozenset({"boxes"}),
        zoo=lambda: {"boxes": edge_pairs()["predictions"]},
    ),
    similarity(name="boxes.iou"),
    Pairwise(
        name="boxes.pairwise",
        kind=Kind.PAIRWISE,
        arrays={"a": boxes(8, 5, seed=1), "b": boxes(8, 3, seed=2)},
        result=(8, 5, 3),
        differentiable=("a", "b"),
        zoo=lambda: {name: array[:, None] for name, array in similarity_pairs().items()},
    ),
]
