"""Losses of whole vectors: the root of a mean square, and the angle between two."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments
from jaxloss._derivatives import written_together
from jaxloss._lengths import scaled_products
from jaxloss._numerics import inverse_power_of_two, ratio
from jaxloss._reduced import Axis, Reduced, reduced
from jaxloss._sums import sums


def root_mean_squared_error(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    axis: Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Root of the mean squared error over an axis.

    Formula:
      `sqrt(mean(r^2))` with `r = predictions - targets`.

    Args:
      predictions: `[..., D]`.
      targets: `[..., D]`, the same unit.
      axis: the axis or axes of the mean; None is all of them.
      where: boolean, of the result's shape: False makes the loss exactly 0; or of the rank of the
        predictions: False takes an element out of the mean, and a mean over nothing is 0.

    Returns:
      `[...]`, the predictions without `axis`, in [0, inf) and the unit of the predictions.

    Edge cases:
      The gradient is `r / (n loss)` with n elements, and 0 where all residuals are 0. Squares
      neither overflow nor underflow: residuals are scaled by a power of two first.

    Differences:
      `sqrt(jnp.mean(r**2))` has a NaN gradient at 0. Some tutorials call the root of a sum or of a
      mean of squares "L2 loss"; here `l2_loss` is half the square of each element.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the ranks differ, a dimension is neither equal nor 1, `axis` is no axis, or
        `where` has neither shape.

    Reference:
      Gauss, "Theoria combinationis observationum erroribus minimis obnoxiae", 1823.

    Example:
      >>> predictions = jnp.array([[0.5, -2.0], [3.0, 4.0]])
      >>> print(jaxloss.root_mean_squared_error(predictions, jnp.array([[0.5, 1.0], [3.0, 4.0]])))
      [2.1213202 0.       ]
    """
    check = Arguments("root_mean_squared_error")
    rows = reduced(check, axis, where, *check.pair(predictions=predictions, targets=targets))
    residual, scale = _scaled(rows, rows.arrays[0] - rows.arrays[1])
    mean = ratio(rows.total(jnp.square(residual)), rows.total(jnp.ones_like(residual)))
    scale = jnp.squeeze(scale, rows.axes)
    root = jnp.sqrt(jnp.where(scale > 0, mean, 1))
    return jnp.where(scale > 0, root / jnp.where(scale > 0, scale, 1), 0 * mean)


def cosine_similarity(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    epsilon: ArrayLike = 0.0,
    axis: Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Cosine of the angle between two vectors.

    Formula:
      `sum(u v)` with `u = predictions / max(|predictions|, sqrt(epsilon))` and `v` likewise of the
      targets.

    Args:
      predictions: `[..., D]`.
      targets: `[..., D]`.
      epsilon: `>= 0`, a scalar, the least squared length that vectors are divided by. May be
        traced.
      axis: the axis or axes of the vectors; None is all of them.
      where: boolean, of the result's shape: False makes the result exactly 0; or of the rank of
        the predictions: False takes an element out of both vectors.

    Returns:
      `[...]`, the predictions without `axis`, in [-1, 1].

    Edge cases:
      A vector of 0 has similarity 0 with every other, with gradient 0 if `epsilon` is 0. Lengths
      neither overflow nor underflow: vectors are scaled by a power of two first. With an `epsilon`,
      gradients at vectors shorter than its root are as large as the inverse of that.

    Differences:
      optax's function of this name has the same parameters and numbers; at a vector of 0 its value
      and gradient are NaN unless `epsilon` is given, which it calls a least norm though it is a
      squared one. torch's `cosine_similarity` has `eps=1e-8` as a least length.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the ranks differ, a dimension is neither equal nor 1, `axis` is no axis, or
        `where` has neither shape.

    Reference:
      Salton, Wong, Yang, "A Vector Space Model for Automatic Indexing", 1975.

    Example:
      >>> predictions, targets = jnp.array([[3.0, 4.0], [0.0, 0.0]]), jnp.array([[1.0, 0.0]])
      >>> print(jaxloss.cosine_similarity(predictions, targets))
      [0.6 0. ]
    """
    check = Arguments("cosine_similarity")
    rows = reduced(check, axis, where, *check.pair(predictions=predictions, targets=targets))
    floor = check.scalar("epsilon", epsilon, rows.arrays[0], at_least=0)
    return rows.mask(_cosine(*rows.arrays, floor, rows.axes))


def cosine_distance(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    epsilon: ArrayLike = 0.0,
    axis: Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """One minus the cosine of the angle between two vectors.

    Formula:
      `1 - sum(u v)` with `u = predictions / max(|predictions|, sqrt(epsilon))` and `v` likewise of
      the targets; computed as `sum((u - v)^2) / 2`, which is the same for unit vectors.

    Args:
      predictions: `[..., D]`.
      targets: `[..., D]`.
      epsilon: `>= 0`, a scalar, the least squared length that vectors are divided by. May be
        traced.
      axis: the axis or axes of the vectors; None is all of them.
      where: boolean, of the result's shape: False makes the loss exactly 0; or of the rank of
        the predictions: False takes an element out of both vectors, and vectors of no elements
        are masked.

    Returns:
      `[...]`, the predictions without `axis`, in [0, 2]. Never negative: the relative error of the
      distance of nearly parallel vectors, and of its gradient, grows with the inverse of the angle.

    Edge cases:
      A vector of 0 has distance 1 from every other, with gradient 0 if `epsilon` is 0. Lengths
      neither overflow nor underflow: vectors are scaled by a power of two first. With an `epsilon`,
      gradients at vectors shorter than its root are as large as the inverse of that.

    Differences:
      optax's function of this name has the same parameters and numbers; at a vector of 0 its value
      and gradient are NaN unless `epsilon` is given, which it calls a least norm though it is a
      squared one. It subtracts the similarity from 1: the relative error grows with the inverse
      square of the angle.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the ranks differ, a dimension is neither equal nor 1, `axis` is no axis, or
        `where` has neither shape.

    Reference:
      Salton, Wong, Yang, "A Vector Space Model for Automatic Indexing", 1975.

    Example:
      >>> predictions, targets = jnp.array([[3.0, 4.0], [0.0, 0.0]]), jnp.array([[1.0, 0.0]])
      >>> print(jaxloss.cosine_distance(predictions, targets))
      [0.4 1. ]
    """
    check = Arguments("cosine_distance")
    rows = reduced(check, axis, where, *check.pair(predictions=predictions, targets=targets))
    floor = check.scalar("epsilon", epsilon, rows.arrays[0], at_least=0)
    return rows.mask(_one_minus_cosine(*rows.arrays, floor, rows.axes))


def _scaled(rows: Reduced, x: Array) -> tuple[Array, Array]:
    """`x` times a power of two that brings its largest element into [1, 2), and that power or 0."""
    largest = jnp.max(jnp.abs(lax.stop_gradient(x)), rows.axes, keepdims=True, initial=0)
    scale = inverse_power_of_two(largest)
    return x * scale, scale


class _Pair(NamedTuple):
    """Two vectors in units of their lengths or the root of the floor, if that is more.

    Attributes:
      units: both vectors, divided.
      factors: what they were multiplied by, as two factors that do not overflow.
      long: whether their lengths are above the root of the floor.
      lacks: what the squares of the units lack to 1: 0 where the vectors are long.
      cosine: the product of the units.
    """

    units: tuple[Array, Array]
    factors: tuple[tuple[Array, Array], tuple[Array, Array]]
    long: tuple[Array, Array]
    lacks: tuple[Array, Array]
    cosine: Array


def _pair(u: Array, v: Array, floor: Array, axes: tuple[int, ...]) -> _Pair:
    least = jnp.sqrt(lax.stop_gradient(floor))
    pairs = ((0, 0), (1, 1), (0, 1))
    scales, products = scaled_products(_themselves, pairs, axes, least, u, v)
    (by_u, by_v), (u_square, v_square, product) = scales, products
    (long_u, u_root), (long_v, v_root) = (
        _root(square, floor * scale * scale, scale)
        for square, scale in ((u_square, by_u), (v_square, by_v))
    )
    return _Pair(
        (u * by_u / u_root, v * by_v / v_root),
        ((by_u, u_root), (by_v, v_root)),
        (long_u, long_v),
        (_lack(long_u, u_square, u_root), _lack(long_v, v_square, v_root)),
        product / u_root / v_root,
    )


def _themselves(*vectors: Array) -> tuple[Array, ...]:
    return vectors


def _root(square: Array, floor: Array, scale: Array) -> tuple[Array, Array]:
    """Whether a square is above the floor, and the root of the larger; 1 where the scale is 0."""
    long = (square >= floor) & (scale > 0)
    return long, jnp.sqrt(jnp.where(scale == 0, 1, jnp.where(long, square, floor)))


def _lack(long: Array, square: Array, root: Array) -> Array:
    return jnp.where(long, 0, 1 - square / root / root)


@functools.partial(jax.custom_jvp, nondiff_argnums=(3,))
def _cosine(u: Array, v: Array, floor: Array, axes: tuple[int, ...]) -> Array:
    # Rounding alone takes it out of its range; the derivative is that of the cosine.
    return jnp.clip(jnp.squeeze(_pair(u, v, floor, axes).cosine, axes), -1, 1)


def _cosine_jvp(
    axes: tuple[int, ...],
    primals: tuple[Array, Array, Array],
    tangents: tuple[Any, Any, Any],
) -> tuple[Array, Array]:
    pair = _pair(*primals, axes)
    change = _turn(pair, primals[2], tangents, axes, lambda a, b: b - pair.cosine * a)
    return _cosine(*primals, axes), change


_cosine.defjvp(_cosine_jvp, symbolic_zeros=True)


@functools.partial(jax.custom_jvp, nondiff_argnums=(3,))
def _one_minus_cosine(u: Array, v: Array, floor: Array, axes: tuple[int, ...]) -> Array:
    return _apart(_pair(u, v, floor, axes), axes)


def _apart(pair: _Pair, axes: tuple[int, ...]) -> Array:
    """Half the squared difference of the units, in which nothing cancels, and what is short."""
    (gap,) = sums((jnp.square(pair.units[0] - pair.units[1]),), axes)
    return jnp.minimum(0.5 * (gap + jnp.squeeze(sum(pair.lacks), axes)), 2)


def _one_minus_cosine_jvp(
    axes: tuple[int, ...],
    primals: tuple[Array, Array, Array],
    tangents: tuple[Any, Any, Any],
) -> tuple[Array, Array]:
    # One pair: of two, whose uses differ, the sums would not be recognised as the same.
    pair = _pair(*primals, axes)
    turn = _turn(pair, primals[2], tangents, axes, lambda a, b: (b - a) + (1 - pair.cosine) * a)
    return _apart(pair, axes), -turn


_one_minus_cosine.defjvp(_one_minus_cosine_jvp, symbolic_zeros=True)


def _turn(
    pair: _Pair,
    floor: Array,
    tangents: tuple[Any, Any, Any],
    axes: tuple[int, ...],
    across: Callable[[Array, Array], Array],
) -> Array:
    """The change of the cosine; `across` is the second unit without its part along the first."""
    *changes, change_of_floor = tangents
    total = jnp.zeros_like(pair.cosine)
    for i, change in enumerate(written_together(tuple(changes))):
        one, other, (scale, root) = pair.units[i], pair.units[1 - i], pair.factors[i]
        if not isinstance(change, SymbolicZero):
            slope = jnp.where(pair.long[i], across(one, other), other) / root
            total += jnp.sum(slope * (scale * change), axes, keepdims=True)
        if not isinstance(change_of_floor, SymbolicZero):
            shrunk = -0.5 * ratio(pair.cosine, floor) * change_of_floor
            total += jnp.where(pair.long[i], 0, shrunk)
    return jnp.squeeze(total, axes)
