"""Rows of `jaxloss.boxes.coding`."""

from functools import partial

import jax.numpy as jnp
import numpy as np

from tests.registry._row import Arrays, Kind, Row, boxes, normal, uniform

SIDES = [0.0, 1e-18, 1e-7, 1e-3, 1.0, 37.0, 640.0, 1e6, 1e18]
OFFSETS = [0.0, 1e-18, 1e-7, 1.0, 37.0, -640.0, 1e6, -1e18]


def edge_boxes(sides: list[float]) -> np.ndarray:
    """Boxes of every side at every offset, x and y apart."""
    offset, width = (grid.ravel() for grid in np.meshgrid(OFFSETS, sides))
    height = np.roll(width, 5)
    return np.stack([offset, -offset, offset + width, height - offset], -1)


def pairs(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    i, j = (index.ravel() for index in np.meshgrid(np.arange(len(first)), np.arange(len(second))))
    return first[i], second[j]


def sided(array: np.ndarray) -> np.ndarray:
    """Which boxes keep sides above 0 in every dtype: the others' logarithms are infinite."""
    kept = np.ones(len(array), bool)
    for dtype in (jnp.float32, jnp.bfloat16, jnp.float16):
        with np.errstate(over="ignore"):
            low = array.astype(dtype).astype(np.float32)
        kept &= (low[:, 2] > low[:, 0]) & (low[:, 3] > low[:, 1])
    return kept


def encode_zoo() -> Arrays:
    whole = edge_boxes(SIDES)
    whole = whole[sided(whole)]
    first, second = pairs(whole, whole)
    return {"boxes": first, "anchors": second}


def decode_zoo() -> Arrays:
    deltas = [0.0, 1e-18, 1e-3, -1.0, 3.0, -30.0, 4.2, 1e4, -1e18]
    values = np.stack([np.roll(deltas, k) for k in (0, 1, 2, 4)], -1)
    first, second = pairs(values, edge_boxes(SIDES))
    return {"deltas": first, "anchors": second}


def tblr_zoo() -> Arrays:
    zoo = decode_zoo()
    return {"tblr": zoo["deltas"], "anchors": zoo["anchors"]}


def distance_zoo() -> Arrays:
    first, second = pairs(edge_boxes(SIDES), edge_boxes(SIDES)[:, :2])
    return {"boxes": first, "points": second}


def bin_zoo() -> Arrays:
    values = np.array([0.0, 1e-30, 0.1, 1.0, 30.0, 1e4, 1e18, 1e30])
    values = np.concatenate([values, -values])
    return {"logits": np.stack([np.roll(values, k) for k in range(8)], -1)}


row = partial(Row, kind=Kind.GEOMETRY)
boxes_and_anchors = {"boxes": boxes(8, 5, seed=1), "anchors": boxes(8, 5, seed=2)}
deltas_and_anchors = {"deltas": normal(8, 5, 4, seed=3), "anchors": boxes(8, 5, seed=4, size=1.0)}
points = uniform(8, 5, 2, seed=5, high=90.0)
weights = (10.0, 9.0, 5.0, 4.0)

ROWS = [
    row(
        name="boxes.encode_tblr",
        arrays=boxes_and_anchors,
        result=(8, 5, 4),
        settings=({}, {"normalizer": 1.7}),
        hyperparameters={"normalizer": (1.0, 2.5, 4.0)},
        differentiable=("boxes", "anchors"),
        zoo=encode_zoo,
    ),
    row(
        name="boxes.decode_tblr",
        arrays={"tblr": normal(8, 5, 4, seed=3), "anchors": boxes(8, 5, seed=4, size=1.0)},
        result=(8, 5, 4),
        settings=({}, {"normalizer": 1.7}),
        hyperparameters={"normalizer": (1.0, 2.5, 4.0)},
        differentiable=("tblr", "anchors"),
        zoo=tblr_zoo,
    ),
    row(
        name="boxes.encode_deltas",
        arrays=boxes_and_anchors,
        settings=({}, {"weights": weights}),
        result=(8, 5, 4),
        differentiable=("boxes", "anchors"),
        hyperparameters={"weights": (0.5, 1.0, 10.0)},
        zoo=encode_zoo,
    ),
    row(
        name="boxes.decode_deltas",
        arrays=deltas_and_anchors,
        settings=({}, {"weights": weights}, {"clamp": 0.5}),
        result=(8, 5, 4),
        differentiable=("deltas", "anchors"),
        hyperparameters={"weights": (0.5, 1.0, 10.0), "clamp": (0.3, 1.0, 4.0)},
        zoo=decode_zoo,
    ),
    row(
        name="boxes.encode_distances",
        arrays={"boxes": boxes(8, 5, seed=6), "points": points},
        result=(8, 5, 4),
        differentiable=("boxes", "points"),
        zoo=distance_zoo,
    ),
    row(
        name="boxes.decode_distances",
        arrays={"distances": uniform(8, 5, 4, seed=7, high=30.0), "points": points},
        result=(8, 5, 4),
        differentiable=("distances", "points"),
        zoo=lambda: {"distances": distance_zoo()["boxes"], "points": distance_zoo()["points"]},
    ),
    row(
        name="boxes.decode_distribution",
        kind=Kind.CLASS,
        arrays={"logits": normal(8, 5, 4, seed=8, scale=2.0)},
        result=(8, 5),
        differentiable=("logits",),
        class_axis={"logits": -1},
        any_shape=frozenset({"logits"}),
        zoo=bin_zoo,
    ),
]
