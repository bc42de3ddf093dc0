"""The curves of the Distance-IoU paper's figure, and the directions along which they were drawn.

The directions are those of the paper's code with the faults that `bench.box_regression` lists, the
fourth in the form that comes nearest to the figure. They are no gradients of anything.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from jaxloss import boxes

Four = tuple[Array, Array, Array, Array]

# Sums of errors by update, read off the figure by pixel.
SUMS = {
    "iou": {10: 6.421e6, 20: 6.244e6, 158: 5.979e6, 170: 5.925e6, 200: 5.910e6},
    "giou": {
        1: 6.406e6,
        10: 5.018e6,
        20: 4.370e6,
        50: 3.347e6,
        100: 2.350e6,
        158: 1.883e6,
        170: 1.596e6,
        180: 1.551e6,
        200: 1.512e6,
    },
    "diou": {
        1: 6.352e6,
        10: 4.194e6,
        20: 2.320e6,
        50: 0.528e6,
        100: 0.41e6,
        160: 0.40e6,
        170: 0.08e6,
    },
    "ciou": {
        10: 3.769e6,
        20: 1.773e6,
        50: 0.429e6,
        100: 0.403e6,
        158: 0.394e6,
        170: 0.071e6,
        180: 0.047e6,
    },
}


class Overlap(NamedTuple):
    """Areas of a pair, and of each edge its derivatives of intersection, union and enclosure."""

    intersection: Array
    union: Array
    enclosing: Array
    apart: Array
    by_edge: list[tuple[Array, Array, Array]]


def overlap(predictions: Array, targets: Array) -> Overlap:
    """Fault 2: the sides of an empty intersection are negative, and are multiplied all the same."""
    (x1, y1, x2, y2), (X1, Y1, X2, Y2) = columns(predictions), columns(targets)
    shared = jnp.minimum(x2, X2) - jnp.maximum(x1, X1), jnp.minimum(y2, Y2) - jnp.maximum(y1, Y1)
    around = jnp.maximum(x2, X2) - jnp.minimum(x1, X1), jnp.maximum(y2, Y2) - jnp.minimum(y1, Y1)
    width, height = x2 - x1, y2 - y1
    # Of each edge: its sign, whether it is inside the target, the other axis, the side along it.
    edges = (
        (-1, x1 > X1, 1, height),
        (-1, y1 > Y1, 0, width),
        (1, x2 < X2, 1, height),
        (1, y2 < Y2, 0, width),
    )
    by_edge = []
    for sign, inside, other, side in edges:
        change = jnp.where(inside, sign * shared[other], 0)
        outer = jnp.where(inside, 0, sign * around[other])
        by_edge.append((change, sign * side - change, outer))
    return Overlap(
        intersection=shared[0] * shared[1],
        union=width * height + (X2 - X1) * (Y2 - Y1) - shared[0] * shared[1],
        enclosing=around[0] * around[1],
        apart=(shared[0] <= 0) | (shared[1] <= 0),
        by_edge=by_edge,
    )


def iou(predictions: Array, targets: Array) -> Four:
    """The direction for IoU, with fault 1."""
    shared, union, _, apart, by_edge = overlap(predictions, targets)
    slopes = [(union * change - shared * growth) / union**2 for change, growth, _ in by_edge]
    return by_center(*(jnp.where(apart, 0, slope) for slope in slopes))


def giou(predictions: Array, targets: Array) -> Four:
    """The direction for GIoU, with faults 1 and 2."""
    _, union, around, _, by_edge = overlap(predictions, targets)
    slopes = [(around * growth - union * outer) / around**2 for _, growth, outer in by_edge]
    return added(iou(predictions, targets), by_center(*slopes))


def diou(predictions: Array, targets: Array) -> Four:
    """The direction for DIoU, with faults 1, 3 and 4."""
    (x1, y1, x2, y2), (X1, Y1, X2, Y2) = columns(predictions), columns(targets)
    axes = axis(x1, x2, X1, X2), axis(y1, y2, Y1, Y2)
    distance = sum(offset**2 for offset, *_ in axes)
    diagonal = sum(side**2 for _, side, *_ in axes)
    around = sum(side for _, side, *_ in axes)  # Fault 4: the side of its own axis would be right.
    (dx, dw), (dy, dh) = (
        (
            # Fault 3: plus the derivative of the diagonal would be right.
            2 * (offset * diagonal - around * by_offset * distance) / diagonal**2,
            2 * around * by_side * distance / diagonal**2,
        )
        for offset, _, by_offset, by_side in axes
    )
    return added(iou(predictions, targets), (dx, dy, dw, dh))


def ciou(predictions: Array, targets: Array) -> Four:
    """The direction for CIoU, with faults 1, 3, 4 and 5."""
    (x1, y1, x2, y2), (X1, Y1, X2, Y2) = columns(predictions), columns(targets)
    width, height = x2 - x1, y2 - y1
    turn = jnp.arctan2(X2 - X1, Y2 - Y1) - jnp.arctan2(width, height)
    difference = (2 / jnp.pi * turn) ** 2
    weight = difference / (1 - boxes.iou(predictions, targets) + difference)
    # Fault 5: over width^2 + height^2 would be right.
    slope = 8 / jnp.pi**2 * weight * turn
    aspect = 0 * turn, 0 * turn, slope * height, -slope * width
    return added(diou(predictions, targets), aspect)


def axis(low: Array, high: Array, target_low: Array, target_high: Array) -> Four:
    """Offset of the centres, enclosing side, and derivatives of it by centre and side."""
    above = (high > target_high).astype(high.dtype)
    below = (low < target_low).astype(low.dtype)
    return (
        (target_low + target_high - low - high) / 2,
        jnp.maximum(high, target_high) - jnp.minimum(low, target_low),
        above - below,
        # Faults 4 and 1: where it is around the target, 1 and not -1 would be right; else a half.
        above + below - 3 * above * below,
    )


def by_center(left: Array, upper: Array, right: Array, lower: Array) -> Four:
    """Fault 1: for the sides, half of this would be right."""
    return left + right, upper + lower, right - left, lower - upper


def added(first: Four, second: Four) -> Four:
    a, b, c, d = (one + other for one, other in zip(first, second, strict=True))
    return a, b, c, d


def columns(boxes: Array) -> Four:
    return boxes[..., 0], boxes[..., 1], boxes[..., 2], boxes[..., 3]


DIRECTIONS: dict[str, Callable[[Array, Array], Four]] = {
    "iou": iou,
    "giou": giou,
    "diou": diou,
    "ciou": ciou,
}


def as_published(name: str, predictions: Array, targets: Array) -> Array:
    """What descends along the direction called `name`; its value means nothing."""
    dx, dy, dw, dh = lax.stop_gradient(DIRECTIONS[name](predictions, targets))
    pulls = dx / 2 - dw, dy / 2 - dh, dx / 2 + dw, dy / 2 + dh
    return -sum(edge * pull for edge, pull in zip(columns(predictions), pulls, strict=True))
