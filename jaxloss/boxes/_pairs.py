"""Pairs of boxes as two axes, and the overlap terms of the IoU family.

A term is a function of the two axes of a pair; `term` makes it one of boxes `[..., 4]`. What is
public of them is in `terms`, `losses` and `overlap`.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, result_like
from jaxloss._logarithm import logarithm, logarithm_of_one_plus
from jaxloss._numerics import (
    inverse_power_of_two,
    inverse_root_of_power_of_two,
    reciprocal,
    relu,
    select,
    smaller,
)
from jaxloss._tracing import traced_once
from jaxloss.boxes._columns import Columns, Summands, boxes_of, of_boxes


class Axis(NamedTuple):
    """One axis of a pair of boxes, as lengths.

    Attributes:
      prediction, target: signed sides, negative where inverted.
      shared: side of the intersection, 0 where apart.
      enclosing: side of the smallest box around all four corners of both.
      low, high: signed differences of the edges, prediction minus target.
    """

    prediction: Array
    target: Array
    shared: Array
    enclosing: Array
    low: Array
    high: Array


@jax.custom_jvp
def axis_of(low: Array, high: Array, target_low: Array, target_high: Array) -> Axis:
    """The axis of a pair from the edges of both boxes."""
    top, bottom = _ordered(low, high)
    target_top, target_bottom = _ordered(target_low, target_high)
    highest, lowest = _ordered(top, target_top)[0], _ordered(bottom, target_bottom)[1]
    return Axis(
        prediction=high - low,
        target=target_high - target_low,
        shared=relu(jnp.minimum(high, target_high) - jnp.maximum(low, target_low)),
        enclosing=highest - lowest,
        low=low - target_low,
        high=high - target_high,
    )


@axis_of.defjvp
def _axis_of_jvp(primals: tuple[Array, ...], tangents: tuple[Array, ...]) -> tuple[Axis, Axis]:
    """Of two edges one bounds what is shared, one what encloses; equal ones half of each."""
    axis, (low, high, target_low, target_high) = axis_of(*primals), tangents
    (top, bottom), (target_top, target_bottom) = _ordered(*primals[:2]), _ordered(*primals[2:])
    above, below = _weight(target_top, top), _weight(bottom, target_bottom)
    inverted, target_inverted = axis.prediction < 0, axis.target < 0
    tops = select(inverted, low, high), select(target_inverted, target_low, target_high)
    bottoms = select(inverted, high, low), select(target_inverted, target_high, target_low)
    shared = _mean(above, *tops) - _mean(below, *bottoms)
    return axis, Axis(
        prediction=high - low,
        target=target_high - target_low,
        shared=select(axis.shared <= 0, 0.0, shared),
        enclosing=_mean(1 - above, *tops) - _mean(1 - below, *bottoms),
        low=low - target_low,
        high=high - target_high,
    )


axis_of = traced_once(axis_of)


def _ordered(a: Array, b: Array) -> tuple[Array, Array]:
    """The larger and the smaller of both, but the second of them if one is NaN: CPUs have that.

    NaN goes through sides and differences.
    """
    return select(a > b, a, b), select(a < b, a, b)


def _mean(weight: Array, a: Array, b: Array) -> Array:
    return weight * a + (1 - weight) * b


def _weight(a: Array, b: Array) -> Array:
    """1 where a is the larger one, 0 where b is, and 1/2 where they are equal."""
    return select(a > b, 1.0, select(a < b, 0.0, jnp.full_like(a, 0.5)))


@traced_once
def relative(axis: Axis, unit: Array) -> Axis:
    """`axis` times a power of two, with inverted sides 0.

    The unit is 0 where both boxes are one and the same point; there all sides are 1, which drop out
    of every ratio of areas: the limit of both boxes thickened equally.
    """
    point = (unit == 0).astype(unit.dtype)
    return Axis(
        prediction=relu(axis.prediction) * unit + point,
        target=relu(axis.target) * unit + point,
        shared=axis.shared * unit + point,
        enclosing=axis.enclosing * unit + point,
        low=axis.low * unit,
        high=axis.high * unit,
    )


def term(
    of_axes: Callable[..., Summands], value: Callable[..., Array] | None = None
) -> Callable[..., Array]:
    """A term of two axes as a function of predictions and targets `[..., 4]`.

    Parameters come after the boxes, and broadcast to `[...]`. A term that is made of others calls
    them with its axes, so that all are differentiated in one pass. For `value`, and for a term that
    returns summands, see `of_boxes`.
    """

    def of_columns(prediction: Columns, target: Columns, *parameters: Array) -> Summands:
        (x1, y1, x2, y2), (X1, Y1, X2, Y2) = prediction, target
        return of_axes(axis_of(x1, x2, X1, X2), axis_of(y1, y2, Y1, Y2), *parameters)

    term_of_boxes = of_boxes(of_columns, value)

    @functools.wraps(of_axes)
    def term_of_pair(first: Any, second: Any, *parameters: Array) -> Any:
        function = of_axes if isinstance(first, Axis) else term_of_boxes
        return function(first, second, *parameters)

    return term_of_pair


def _shared_fraction_value(prediction: Columns, target: Columns) -> Array:
    """`shared_fraction` in few operations, most of them of one box alone: for all pairs of many.

    No area is negative; that it passes `relu` keeps its product and the sum of areas from being
    contracted into one operation, after which those of identical boxes would differ.
    """
    (x1, y1, x2, y2), (X1, Y1, X2, Y2) = prediction, target
    sides = _sides(x1, x2, X1, X2), _sides(y1, y2, Y1, Y2)
    shared, area, target_area = (relu(x * y) for x, y in zip(*sides, strict=True))
    apart = shared <= 0
    return select(apart, 0.0, shared / (area + target_area - shared))


def _sides(low: Array, high: Array, target_low: Array, target_high: Array) -> tuple[Array, ...]:
    """What both boxes share on an axis, and their sides, relative to the target's side.

    Two boxes that are the same point share 1. A side which is not positive is 1, and shares 0 with
    every other side.
    """
    side, target = high - low, target_high - target_low
    point = select(side == 0, low, jnp.inf)
    target_point = select(target == 0, target_low, -jnp.inf)
    shared = relu(jnp.minimum(high, target_high) - jnp.maximum(low, target_low))
    shared = select(point == target_point, 1.0, shared)
    side, target = (select(x <= 0, 1.0, x) for x in (side, target))
    unit = inverse_power_of_two(target)
    return shared * unit, side * unit, target * unit


@functools.partial(term, value=_shared_fraction_value)
def shared_fraction(x: Axis, y: Axis) -> Array:
    """IoU, relatively accurate near 0 and exactly 1 where nothing is unshared."""
    return _fractions(_areas(*_enclosed(x, y)))[0]


@term
def unshared_fraction(x: Axis, y: Axis) -> Array:
    """1 - IoU to the last digit, from edge differences: nothing cancels in converged boxes."""
    return _fractions(_areas(*_enclosed(x, y)))[1]


@term
def inner_shared_fraction(x: Axis, y: Axis, ratio: Array) -> Array:
    """IoU of the boxes whose sides are `ratio` times as long, around the same centres."""
    return _fractions(_areas(*_enclosed(_inner(x, ratio), _inner(y, ratio))))[0]


@term
def inner_unshared_fraction(x: Axis, y: Axis, ratio: Array) -> Array:
    """1 - IoU of the boxes whose sides are `ratio` times as long, around the same centres."""
    return _fractions(_areas(*_enclosed(_inner(x, ratio), _inner(y, ratio))))[1]


@term
def negative_log_fraction(x: Axis, y: Axis) -> Array:
    """-ln IoU, at most 100: of the gap where boxes are close, else by logarithms of lengths.

    The overlap of slivers is below the smallest number long before its logarithm reaches 100.
    """
    units, apart = _balanced_units(x, y)
    areas = _areas(relative(x, units[0]), relative(y, units[1]))
    close = areas.shared > areas.unshared
    _, gap = _fractions(areas)
    near = -logarithm_of_one_plus(-select(close, gap, 0.0))
    far = logarithm(select(close | apart, 1.0, areas.prediction + areas.target - areas.shared))
    factors = []
    for side, unit in zip((x, y), units, strict=True):
        known = close | apart | (unit == 0)
        factors += [select(known, 1.0, side.shared), select(known, 1.0, unit)]
    loss = near + far - logarithm(*factors)
    return select(apart | (loss >= 100), 100.0, loss)


@term
def empty_fraction(x: Axis, y: Axis) -> Array:
    """(C - U) / C: how much of the enclosing box neither box covers."""
    x, y = _enclosed(x, y)
    return _empty_fraction(x.enclosing * y.enclosing, _areas(x, y))


def _inner(axis: Axis, ratio: Array) -> Axis:
    """The axis of the boxes whose sides are `ratio` times as long, but for what encloses them.

    What they share is the least of both sides and of the two distances between edges that face
    each other, each from the smaller box, where less is lost.
    """
    moved = 0.5 * (1 - ratio) * (axis.low + axis.high)
    low, high = moved + ratio * axis.low, moved + ratio * axis.high
    w, W = ratio * axis.prediction, ratio * axis.target
    small = jnp.abs(w) < jnp.abs(W)
    below = select(small, w + low, W + high)
    above = select(small, w - high, W - low)
    shared = relu(smaller(smaller(w, W), smaller(below, above)))
    return Axis(w, W, shared, axis.enclosing, low, high)


@traced_once
def _enclosed(x: Axis, y: Axis) -> tuple[Axis, Axis]:
    """Both axes relative to their enclosing sides, which are in [1, 2)."""
    return (
        relative(x, inverse_power_of_two(x.enclosing)),
        relative(y, inverse_power_of_two(y.enclosing)),
    )


def _balanced_units(x: Axis, y: Axis) -> tuple[tuple[Array, Array], Array]:
    """Powers of two by which the larger of overlapping boxes has an area of order 1.

    They keep second derivatives in range even for slivers that cross. Also whether boxes are apart.
    """
    relative_x, relative_y = _enclosed(*lax.stop_gradient((x, y)))
    areas = _areas(relative_x, relative_y)
    balance = inverse_root_of_power_of_two(jnp.maximum(areas.prediction, areas.target))
    apart = (jnp.minimum(relative_x.shared, relative_y.shared) <= 0) | (balance == 0)
    balance = select(apart, 1.0, balance)
    across, up = inverse_power_of_two(x.enclosing), inverse_power_of_two(y.enclosing)
    return (across * balance, up * balance), apart


class Areas(NamedTuple):
    """Areas of two boxes, of what both cover, and of what only one does.

    The last is a constant under differentiation: it is 0 and has kinks where boxes converge. It
    makes values exact, and derivatives go through the others.
    """

    prediction: Array
    target: Array
    shared: Array
    unshared: Array
    corners: Array


@traced_once
def _areas(x: Axis, y: Axis) -> Areas:
    X, Y = lax.stop_gradient((x, y))
    (across, target_across), (up, target_up) = _overhangs(X), _overhangs(Y)
    return Areas(
        prediction=x.prediction * y.prediction,
        target=x.target * y.target,
        shared=x.shared * y.shared,
        unshared=across * Y.prediction + target_across * Y.target + X.shared * (up + target_up),
        corners=across * target_up + target_across * up,
    )


@traced_once
def _overhangs(axis: Axis) -> tuple[Array, Array]:
    """How far overlapping boxes stick out of each other: the prediction, and the target."""
    return relu(-axis.low) + relu(axis.high), relu(axis.low) + relu(-axis.high)


@jax.custom_jvp
def _fractions(areas: Areas) -> tuple[Array, Array]:
    """IoU and 1 - IoU, both to the last digit, and exactly 1 where the other is 0."""
    inverse, apart = _inverse_union(areas), areas.shared <= 0
    gap = select(apart, 1.0, areas.unshared * inverse)
    return select(gap < 0.5, 1 - gap, areas.shared * inverse), gap


@_fractions.defjvp
def _fractions_jvp(
    primals: tuple[Areas], tangents: tuple[Areas]
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    (areas,), (change,) = primals, tangents
    iou, gap = _fractions(areas)
    growth = (1 + iou) * change.shared - iou * (change.prediction + change.target)
    slope = growth * _inverse_union(areas)
    return (iou, gap), (slope, -slope)


@jax.custom_jvp
def _inverse_union(areas: Areas) -> Array:
    """1 / U where boxes overlap: one division serves values and derivatives."""
    union = areas.shared + areas.unshared
    return reciprocal(select(areas.shared <= 0, 1.0, union))


@_inverse_union.defjvp
def _inverse_union_jvp(primals: tuple[Areas], tangents: tuple[Areas]) -> tuple[Array, Array]:
    (areas,), (change,) = primals, tangents
    inverse = _inverse_union(areas)
    growth = change.prediction + change.target - change.shared
    growth = select(areas.shared <= 0, 0.0, growth)
    return inverse, -inverse * (inverse * growth)


@jax.custom_jvp
def _empty_fraction(enclosing: Array, areas: Areas) -> Array:
    """(C - U) / C for C of order 1: where boxes overlap, from the corners that neither reaches."""
    inverse = reciprocal(enclosing)
    between = 1 - (areas.prediction + areas.target) * inverse
    return select(areas.shared <= 0, between, areas.corners * inverse)


@_empty_fraction.defjvp
def _empty_fraction_jvp(
    primals: tuple[Array, Areas], tangents: tuple[Array, Areas]
) -> tuple[Array, Array]:
    (enclosing, areas), (growth, change) = primals, tangents
    empty = _empty_fraction(enclosing, areas)
    covered = change.prediction + change.target - change.shared
    return empty, ((1 - empty) * growth - covered) * reciprocal(enclosing)


def pair_of(check: Arguments, predictions: ArrayLike, targets: ArrayLike) -> tuple[Array, Array]:
    """Predictions and targets `[..., 4]` of a term, which has no mask."""
    return boxes_of(check, predictions=predictions, targets=targets)[:2]


def like(predictions: Array, targets: Array) -> jax.ShapeDtypeStruct:
    """What hyperparameters of a pair broadcast against: shape and dtype of the result."""
    return result_like(predictions[..., 0], targets[..., 0])
