"""Predicted and target maps without what a mask removes, and the sums that region losses need."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, hide
from jaxloss._derivatives import weighted
from jaxloss._numerics import ratio
from jaxloss._sums import sums

Axis = int | tuple[int, ...]


class Region(NamedTuple):
    """Maps of one shape.

    Attributes:
      p: predictions; 0 in masked pixels.
      y: targets; 0 in masked pixels, NaN for integers other than 0 and 1.
      mask: None, or False in masked pixels.
      axes: the axes summed over, counted from the front.
    """

    p: Array
    y: Array
    mask: Array | None
    axes: tuple[int, ...]


def maps_of(check: Arguments, axis: Axis, where: ArrayLike | None, **maps: ArrayLike) -> Region:
    """Two maps by their names."""
    p, y = jnp.broadcast_arrays(*check.pair(**maps))
    mask = check.where(where, p.shape, "the maps")
    axes = axes_of(check, axis, p.ndim)
    p, y = hide(mask, p, y)
    return Region(p, y, mask, axes)


def region_of(check: Arguments, axis: Axis, where: ArrayLike | None, **maps: ArrayLike) -> Region:
    """Predictions and targets by their names; NaN for integer targets other than 0 and 1."""
    p, y, mask, axes = maps_of(check, axis, where, **maps)
    _, (name, targets) = maps.items()
    if jnp.issubdtype(check.array(name, targets).dtype, jnp.integer):
        y = jnp.where((y == 0) | (y == 1), y, jnp.nan)
    return Region(p, y, mask, axes)


def axes_of(check: Arguments, axis: Axis, rank: int) -> tuple[int, ...]:
    """One axis or more, counted from the front and in order."""
    try:
        axes = np.lib.array_utils.normalize_axis_tuple(axis, rank)
    except (ValueError, TypeError):
        axes = ()
    if not axes:
        raise ValueError(
            f"`{check.function}`: `axis` is {axis}, expected an axis, or a tuple of different "
            f"axes, of an array of {rank} dimensions; without a class axis the axes of an image "
            f"are (-2, -1)"
        )
    return tuple(sorted(axes))


def class_axis_of(check: Arguments, axis: int, region: Region) -> int:
    """The axis of the classes, none of those that are summed over."""
    position = check.axis(axis, region.p.ndim, "class_axis")
    if position in region.axes:
        raise ValueError(
            f"`{check.function}`: `class_axis` is {axis}, which `axis` sums over; give a map of "
            f"one class an axis of 1 with `jnp.expand_dims`"
        )
    return position


def mean(region: Region, costs: Array) -> Array:
    """The mean over each region of costs that are 0 in masked pixels; 0 over nothing."""
    kept = True if region.mask is None else region.mask
    ones = jnp.where(kept, jnp.ones_like(costs), jnp.zeros((), costs.dtype))
    return ratio(*sums((costs, ones), region.axes))


@jax.custom_jvp
def agreement(p: Array, y: Array) -> tuple[Array, Array, Array]:
    """min(p, y), relu(p - y) and relu(y - p), of probabilities.

    Where y is 0 or 1 these are the products p y, p (1 - y) and (1 - p) y, and so are their
    derivatives in p, at p = y, too; where p = y lies between, each has the mean of both sides'.
    """
    shared = jnp.minimum(p, y)
    return shared, p - shared, y - shared


def _agreement_jvp(
    primals: tuple[Array, Array], tangents: tuple[Any, Any]
) -> tuple[tuple[Array, Array, Array], tuple[Array, Array, Array]]:
    p, y = primals
    shared = weighted((_share(p, y), _share(y, p)), tangents)
    dp, dy = (jnp.zeros_like(p) if isinstance(t, SymbolicZero) else t for t in tangents)
    return agreement(p, y), (shared, dp - shared, dy - shared)


agreement.defjvp(_agreement_jvp, symbolic_zeros=True)


def _share(x: Array, other: Array) -> Array:
    """The derivative of min(x, other) in x, within [0, 1]."""
    tie = jnp.where(x <= 0, 0, jnp.where(x >= 1, 1, jnp.full((), 0.5, x.dtype)))
    return jnp.where(x < other, jnp.ones((), x.dtype), jnp.where(x > other, 0, tie))


@jax.custom_jvp
def fraction(part: Array, rest: Array) -> Array:
    """part / (part + rest), and 0 with derivative 0 where both are 0.

    Its derivative in `part` is exactly 0 where `rest` is.
    """
    return ratio(part, part + rest)


@fraction.defjvp
def _fraction_jvp(
    primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    part, rest = primals
    value = fraction(part, rest)
    slope = fraction(rest, part) * tangents[0] - value * tangents[1]
    return value, slope * _inverse(part + rest)


@jax.custom_jvp
def _inverse(x: Array) -> Array:
    """1 / x, and 0 with derivative 0 where x is 0.

    The derivative has a limit, in float32 1e30: of smaller regions the curvatures of false
    positives and of misses, of either sign, would both be infinite.
    """
    return ratio(jnp.ones_like(x), x)


@_inverse.defjvp
def _inverse_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    inverse = _inverse(*primals)
    steepest = float(np.finfo(inverse.dtype).max) ** 0.8
    return inverse, -jnp.minimum(jnp.square(inverse), steepest) * tangents[0]


@jax.custom_jvp
def power(base: Array, exponent: Array) -> Array:
    """base**exponent of a base >= 0, and 0 where a base of 0 has an exponent below 0.

    Closed under differentiation, so that a derivative at base 0 is 0 where it is infinite.
    """
    infinite = (base == 0) & (exponent < 0)
    return jnp.where(infinite, 0, jnp.power(jnp.where(infinite, 1, base), exponent))


@power.defjvp
def _power_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    base, exponent = primals
    value = power(base, exponent)
    constant = exponent == 0
    slope = exponent * power(base, jnp.where(constant, 0, exponent - 1))
    logarithm = jnp.log(jnp.where(base <= 0, jnp.ones_like(base), base))
    return value, slope * tangents[0] + value * logarithm * tangents[1]
