"""Rows of boxes with an angle."""

from functools import partial

import numpy as np

from tests.registry._row import Arrays, Kind, Row, normal
from tests.registry.boxes import OFFSETS

CENTERS = np.append(OFFSETS, 1e18)
# 1e-17: second derivatives of smaller boxes with crossing sides are near the end of float32. Some
# rows have larger ones, with sides a 1e13th of others at least: in slivers that are thinner still,
# turned against each other, second derivatives pass through the square of that ratio.
SIDES = np.array([0.0, 1e-17, 1e-7, 1e-3, 1.0, 37.0, 640.0, 1e6])
TURNS = np.array([0.0, 1e-18, 1e-7, 1e-3, 0.3, np.pi / 4, np.pi / 2, 2.0, np.pi, 1e3])


def rotated_boxes(*shape: int, seed: int = 0, size: float = 100.0) -> np.ndarray:
    """`[*shape, 5]`, wider than high, turned any way."""
    rng = np.random.default_rng(seed)
    center = rng.uniform(0, 0.5 * size, (*shape, 2))
    sides = rng.uniform([0.2 * size, 0.1 * size], [0.4 * size, 0.3 * size], (*shape, 2))
    return np.concatenate([center, sides, rng.uniform(-3, 3, (*shape, 1))], -1)


def edge_pairs(count: int = 20_000, smallest: float = 1e-17) -> Arrays:
    """Pairs over twenty-four orders of magnitude.

    Some share centres, sides, angles or everything; some of the sides are negative.
    """
    rng = np.random.default_rng(0)
    centers = rng.choice(CENTERS, (count, 2, 2)) * rng.choice([-1, 1], (count, 2, 2))
    sides = rng.choice(np.where(SIDES == 1e-17, smallest, SIDES), (count, 2, 2))
    sides[::9] *= rng.choice([-1, 1], sides[::9].shape)
    turns = rng.choice(TURNS, (count, 2, 1)) * rng.choice([-1, 1], (count, 2, 1))
    centers[1::4, 1] = centers[1::4, 0]
    sides[2::4, 1] = sides[2::4, 0]
    turns[3::4, 1] = turns[3::4, 0]
    sides[5::32, 1] = sides[5::32, 0]
    turns[5::16, 1] = turns[5::16, 0]
    centers[6::16, 1] = centers[6::16, 0]
    pairs = np.concatenate([centers, sides, turns], -1).astype(np.float32).astype(np.float64)
    return {"predictions": pairs[:, 0], "targets": pairs[:, 1]}


def similarity_pairs() -> Arrays:
    return dict(zip(("a", "b"), edge_pairs(smallest=1e-14).values(), strict=True))


PREDICTIONS = rotated_boxes(8, 5, seed=1)
TARGETS = PREDICTIONS + normal(8, 5, 5, seed=2) * [3.0, 3.0, 3.0, 3.0, 0.2]

loss = partial(
    Row,
    kind=Kind.BOX,
    arrays={"predictions": PREDICTIONS, "targets": TARGETS},
    result=(8, 5),
    differentiable=("predictions", "targets"),
    zoo=edge_pairs,
)

ROWS = [
    Row(
        name="boxes.rotated_iou",
        kind=Kind.PAIRWISE,
        arrays={"a": PREDICTIONS, "b": TARGETS},
        result=(8, 5),
        differentiable=("a", "b"),
        zoo=similarity_pairs,
    ),
    loss(name="rotated_iou_loss", zoo=partial(edge_pairs, smallest=1e-14)),
    Row(
        name="boxes.rotated_corners",
        kind=Kind.GEOMETRY,
        arrays={"boxes": PREDICTIONS},
        result=(8, 5, 4, 2),
        differentiable=("boxes",),
        any_shape=frozenset({"boxes"}),
        zoo=lambda: {"boxes": edge_pairs()["predictions"]},
    ),
    Row(
        name="boxes.rotated_from_corners",
        kind=Kind.GEOMETRY,
        arrays={"corners": normal(8, 5, 4, 2, seed=3, scale=20.0)},
        result=(8, 5, 5),
        differentiable=("corners",),
        any_shape=frozenset({"corners"}),
        zoo=lambda: {"corners": edge_pairs()["predictions"][:, :4].repeat(2, -1).reshape(-1, 4, 2)},
    ),
    loss(
        name="gwd_loss",
        settings=(
            {},
            {"tau": 1.0, "transform": "log1p"},
            {"tau": 1.0, "transform": "normalized"},
        ),
        hyperparameters={"tau": (1.0, 2.0, 5.0)},
    ),
    loss(
        name="kld_loss",
        settings=(
            {},
            {"tau": 2.0, "direction": "prediction||target"},
            {"tau": 2.0, "transform": "sqrt"},
        ),
        hyperparameters={"tau": (1.0, 2.0, 5.0)},
        zoo=partial(edge_pairs, smallest=1e-12),
    ),
    loss(
        name="kfiou_loss",
        settings=({}, *({"form": name} for name in ("exponential", "logarithm", "rescaled"))),
        zoo=partial(edge_pairs, smallest=1e-7),
    ),
    loss(
        name="probiou_loss",
        settings=({}, {"form": "bhattacharyya"}),
        zoo=partial(edge_pairs, smallest=1e-12),
    ),
]
