"""Rows of `jaxloss.boxes`: formats, similarities and the losses over them."""

import itertools
from functools import cached_property, partial

import numpy as np

import jaxloss
import jaxloss.boxes
from tests.registry._row import Arrays, Kind, Row, boxes, normal

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


PREDICTIONS = boxes(8, 5, seed=1)
TARGETS = PREDICTIONS + normal(8, 5, 4, seed=2, scale=3.0)

ALPHA = {"gradient": "alpha is a constant under differentiation, as in the authors' code"}

similarity = partial(
    Row,
    kind=Kind.PAIRWISE,
    arrays={"a": PREDICTIONS, "b": TARGETS},
    result=(8, 5),
    differentiable=("a", "b"),
    zoo=similarity_pairs,
)

loss = partial(
    Row,
    kind=Kind.BOX,
    arrays={"predictions": PREDICTIONS, "targets": TARGETS},
    result=(8, 5),
    differentiable=("predictions", "targets"),
    zoo=edge_pairs,
)

geometry = partial(
    Row,
    kind=Kind.GEOMETRY,
    arrays={"boxes": PREDICTIONS},
    result=(8, 5, 4),
    differentiable=("boxes",),
    any_shape=frozenset({"boxes"}),
    zoo=lambda: {"boxes": edge_pairs()["predictions"]},
)

ROWS = [
    geometry(name="boxes.area", result=(8, 5)),
    geometry(
        name="boxes.convert",
        settings=tuple(
            {"source": source, "target": target}
            for source, target in itertools.product(("xyxy", "xywh", "cxcywh"), repeat=2)
        ),
    ),
    geometry(
        name="boxes.clip",
        settings=({"height": 60.0, "width": 80.0},),
        hyperparameters={"height": (0.0, 31.0, 200.0), "width": (0.0, 41.0, 200.0)},
    ),
    geometry(
        name="boxes.scale",
        settings=({"height": 60.0, "width": 80.0},),
        hyperparameters={"height": (0.0, 31.0, 200.0), "width": (-1.0, 41.0, 200.0)},
    ),
    similarity(name="boxes.iou"),
    similarity(name="boxes.giou"),
    similarity(name="boxes.diou"),
    similarity(name="boxes.ciou", exempt=ALPHA),
    Pairwise(
        name="boxes.pairwise",
        kind=Kind.PAIRWISE,
        arrays={"a": boxes(8, 5, seed=1), "b": boxes(8, 3, seed=2)},
        result=(8, 5, 3),
        differentiable=("a", "b"),
        zoo=lambda: {name: array[:, None] for name, array in similarity_pairs().items()},
    ),
    loss(name="iou_loss"),
    loss(name="log_iou_loss"),
    loss(name="giou_loss"),
    loss(name="diou_loss"),
    loss(
        name="ciou_loss",
        settings=({}, {"minimum_iou": 0.5}),
        hyperparameters={"minimum_iou": (0.0, 0.5, 0.9)},
        exempt=ALPHA,
    ),
]
