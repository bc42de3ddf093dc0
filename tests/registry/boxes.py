"""Rows of `jaxloss.boxes`: formats, similarities and the losses over them."""

import itertools
from functools import cached_property, partial

import numpy as np

import jaxloss
import jaxloss.boxes
from tests.registry._row import Arrays, Kind, Row, boxes, normal, uniform

SIDES = np.array([0.0, 1e-18, 1e-7, 1e-3, 1.0, 37.0, 640.0, 1e6])
OFFSETS = np.array([0.0, 1e-18, 1e-7, 1e-3, 0.5, 37.0, 640.0, 1e6])


def edge_pairs(count: int = 20_000, *, largest: float = 1e6) -> Arrays:
    """Pairs of boxes with sides and offsets over twenty-four orders of magnitude.

    A quarter share edges, corners or everything; some of each are inverted.
    """
    rng = np.random.default_rng(0)
    offsets, lengths = (np.where(choices == 1e6, largest, choices) for choices in (OFFSETS, SIDES))
    corners = rng.choice(offsets, (count, 2, 2)) * rng.choice([-1, 1], (count, 2, 2))
    sides = rng.choice(lengths, (count, 2, 2))
    sides[::9] *= rng.choice([-1, 1], sides[::9].shape)
    corners[1::8, 1] = corners[1::8, 0]
    sides[2::8, 1] = sides[2::8, 0]
    corners[3::16, 1], sides[3::16, 1] = corners[3::16, 0], sides[3::16, 0]
    corners[4::16, 1] = corners[4::16, 0] + sides[4::16, 0]
    pairs = np.concatenate([corners, corners + sides], -1).astype(np.float32).astype(np.float64)
    return {"predictions": pairs[:, 0], "targets": pairs[:, 1]}


def zoo_pairs() -> Arrays:
    """The edge pairs, and others with sides and offsets up to 1e18."""
    near, far = edge_pairs(), edge_pairs(4_000, largest=1e18)
    return {name: np.concatenate([near[name], far[name]]) for name in near}


def similarity_pairs() -> Arrays:
    return dict(zip(("a", "b"), zoo_pairs().values(), strict=True))


def gap_zoo() -> Arrays:
    """Gaps and overlaps of one pair each, from none to all, small ones with digits of their own."""
    small = np.array([0.0, 1e-30, 1e-18, 1e-7, 1e-3, 0.05, 0.3, 0.5])
    return {"gap": np.append(small, 1 - small), "iou": np.append(1 - small, small)}


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

GAP = uniform(8, 5, seed=3)

ALPHA = {"gradient": "alpha is a constant under differentiation, as in the authors' code"}

DETACHED = {
    "gradient": "a part is a constant under differentiation, as in the authors' code: "
    "tests/test_boxes_family.py differentiates the formula with it fixed"
}
NO_ARRAYS = dict.fromkeys(
    ("vmap", "errors", "export", "mesh", "dtypes"), "it takes no arrays and makes one state"
)
MEAN = jaxloss.DynamicWiseIoUState(np.float32(0.4))

similarity = partial(
    Row,
    kind=Kind.PAIRWISE,
    arrays={"a": PREDICTIONS, "b": TARGETS},
    result=(8, 5),
    differentiable=("a", "b"),
    zoo=similarity_pairs,
)

term = partial(
    Row,
    kind=Kind.PAIRWISE,
    arrays={"predictions": PREDICTIONS, "targets": TARGETS},
    result=(8, 5),
    differentiable=("predictions", "targets"),
    zoo=zoo_pairs,
)

transform = partial(
    Row,
    kind=Kind.ELEMENTWISE,
    arrays={"gap": GAP},
    result=(8, 5),
    differentiable=("gap",),
    any_shape=frozenset({"gap"}),
    zoo=lambda: {"gap": gap_zoo()["gap"]},
)

loss = partial(
    Row,
    kind=Kind.BOX,
    arrays={"predictions": PREDICTIONS, "targets": TARGETS},
    result=(8, 5),
    differentiable=("predictions", "targets"),
    zoo=zoo_pairs,
)

geometry = partial(
    Row,
    kind=Kind.GEOMETRY,
    arrays={"boxes": PREDICTIONS},
    result=(8, 5, 4),
    differentiable=("boxes",),
    any_shape=frozenset({"boxes"}),
    zoo=lambda: {"boxes": zoo_pairs()["predictions"]},
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
    similarity(name="boxes.eiou"),
    similarity(name="boxes.siou"),
    similarity(name="boxes.cdiou", hyperparameters={"factor": (0.0, 0.001, 2.0)}),
    similarity(
        name="boxes.inner_iou",
        hyperparameters={"ratio": (0.5, 0.7, 1.3)},
    ),
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
    loss(name="eiou_loss"),
    loss(name="siou_loss"),
    loss(name="mpdiou_loss", settings=({"image_size": (60.0, 80.0)},)),
    loss(
        name="focal_eiou_loss",
        hyperparameters={"gamma": (0.0, 0.5, 2.0)},
        exempt=DETACHED,
    ),
    loss(name="wise_iou_loss", exempt=DETACHED),
    Row(
        name="dynamic_wise_iou_loss",
        kind=Kind.BOX,
        arrays={"predictions": PREDICTIONS, "targets": TARGETS, "where": GAP > 0.2},
        result=(8, 5),
        settings=({"state": MEAN, "momentum": 0.25}, {"state": MEAN, "gamma": 0.5}),
        hyperparameters={"alpha": (1.5, 1.7, 1.9), "delta": (2.0, 2.7, 3.0)},
        differentiable=("predictions", "targets"),
        padded=("predictions", "targets"),
        stateful=True,
        zoo=lambda: zoo_pairs() | {"where": np.ones(24_000, bool)},
        exempt=DETACHED,
    ),
    Row(
        name="dynamic_wise_iou_init",
        kind=Kind.SELECTION,
        arrays={},
        result=(),
        exempt=NO_ARRAYS,
    ),
    loss(
        name="alpha_iou_loss",
        settings=({}, *({"penalty": name} for name in ("giou", "diou", "ciou")), {"alpha": 0.5}),
        hyperparameters={"alpha": (0.5, 2.0, 3.0)},
    ),
    loss(
        name="inner_iou_loss",
        settings=({}, {"ratio": 1.3}),
        hyperparameters={"ratio": (0.5, 0.7, 1.3)},
    ),
    loss(
        name="focaler_iou_loss",
        settings=({}, {"lower": 0.2, "upper": 0.7}),
        hyperparameters={"lower": (0.0, 0.1, 0.3), "upper": (0.5, 0.8, 0.95)},
    ),
    loss(
        name="powerful_iou_loss",
        settings=({}, {"focus": 1.3}),
        hyperparameters={"focus": (0.7, 1.3, 2.0)},
    ),
    loss(
        name="normalized_wasserstein_loss",
        hyperparameters={"constant": (1.0, 12.8, 50.0)},
    ),
    loss(name="cdiou_loss", hyperparameters={"factor": (0.0, 0.5, 1.0)}),
    loss(
        name="shape_iou_loss",
        settings=({}, {"scale": 1.5}),
        hyperparameters={"scale": (0.0, 0.5, 1.5)},
    ),
    loss(
        name="rectified_iou_loss",
        hyperparameters={
            "beta": (0.5, 0.8, 0.95),
            "a": (0.0, 0.1, 0.3),
            "b": (1.0, 1.05, 1.5),
            "c": (0.0, 0.2, 0.5),
        },
    ),
    term(name="boxes.terms.empty_fraction"),
    term(name="boxes.terms.center_distance"),
    term(name="boxes.terms.distance_attention", exempt=DETACHED),
    term(
        name="boxes.terms.weighted_center_distance",
        settings=({"scale": 1.5},),
        hyperparameters={"scale": (0.0, 0.5, 1.5)},
    ),
    term(name="boxes.terms.corner_distance"),
    term(
        name="boxes.terms.squared_corner_distance",
        arrays={"predictions": PREDICTIONS / 16, "targets": TARGETS / 16},
    ),
    term(name="boxes.terms.angular_distance"),
    term(name="boxes.terms.edge_distance"),
    term(name="boxes.terms.wasserstein_distance"),
    term(name="boxes.terms.aspect_difference"),
    term(
        name="boxes.terms.aspect_penalty",
        hyperparameters={"minimum_iou": (0.0, 0.5, 0.9)},
        exempt=ALPHA,
    ),
    term(name="boxes.terms.side_difference"),
    term(name="boxes.terms.shape_difference"),
    term(
        name="boxes.terms.weighted_shape_difference",
        settings=({"scale": 1.5},),
        hyperparameters={"scale": (0.0, 0.5, 1.5)},
    ),
    term(
        name="boxes.terms.focal_weight",
        hyperparameters={"gamma": (0.0, 0.5, 2.0)},
        exempt=DETACHED,
    ),
    transform(
        name="boxes.terms.powered",
        arrays={"gap": GAP, "iou": 1 - GAP},
        settings=({"alpha": 3.0}, {"alpha": 0.5}),
        differentiable=("gap", "iou"),
        any_shape=frozenset(),
        hyperparameters={"alpha": (0.5, 2.0, 3.0)},
        zoo=gap_zoo,
    ),
    transform(
        name="boxes.terms.powered_penalty",
        arrays={"penalty": 7 * GAP},
        settings=({"alpha": 3.0}, {"alpha": 0.5}),
        differentiable=("penalty",),
        any_shape=frozenset({"penalty"}),
        hyperparameters={"alpha": (0.5, 2.0, 3.0)},
        zoo=lambda: {"penalty": np.append(gap_zoo()["gap"], [1.001, 2.0, 7.0, 1e6, 1e12])},
    ),
    transform(
        name="boxes.terms.rectified",
        hyperparameters={
            "beta": (0.5, 0.8, 0.95),
            "a": (0.0, 0.1, 0.3),
            "b": (1.0, 1.05, 1.5),
            "c": (0.0, 0.2, 0.5),
        },
    ),
    transform(
        name="boxes.terms.interval",
        hyperparameters={"lower": (0.0, 0.1, 0.3), "upper": (0.5, 0.8, 0.95)},
    ),
]
