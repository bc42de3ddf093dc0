"""Lengths, directions and similarities of vectors: total, and the same on every mesh."""

import functools

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.sharding import PartitionSpec
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, Shape
from jaxloss._derivatives import weighted
from jaxloss._numerics import inverse_power_of_two


def masks(
    check: Arguments, where: ArrayLike | None, shape: Shape, axis: int
) -> tuple[Array | None, Array | None]:
    """Which elements of vectors along `axis` count, in their rank, and which results."""
    if where is None:
        return None, None
    if check.array("where", where).ndim == len(shape):
        kept = check.where(where, shape, "the vectors")
        assert kept is not None
        return kept, jnp.any(kept, axis)
    results = tuple(size for i, size in enumerate(shape) if i != axis % len(shape))
    mask = check.where(where, results)
    assert mask is not None
    return jnp.expand_dims(mask, axis), mask


def length(x: Array, axis: int = -1) -> Array:
    """Euclidean length, with derivative 0 at the origin."""
    scale = scale_of(x, axis)
    root = _root_of_squares(x * scale, axis)
    some = jnp.where(scale == 0, jnp.ones_like(scale), scale)
    return jnp.squeeze(jnp.where(scale == 0, jnp.zeros_like(root), root / some), axis)


def unit(x: Array, axis: int = -1) -> Array:
    """`x` at length 1; the origin stays where it is, with derivative 0."""
    scaled = x * scale_of(x, axis)
    return scaled / _root_of_squares(scaled, axis)


def scale_of(x: Array, axis: int, least: Array | float = 0.0) -> Array:
    """A power of two that brings the largest element, or `least`, into [4, 8); 0 if that is 0.

    Multiplied by it no square over- or underflows. A constant under differentiation.
    """
    largest = jnp.max(jnp.abs(lax.stop_gradient(x)), axis, keepdims=True, initial=0.0)
    return inverse_power_of_two(0.25 * jnp.maximum(largest, lax.stop_gradient(least)))


def _root_of_squares(x: Array, axis: int) -> Array:
    square = jnp.sum(jnp.square(x), axis, keepdims=True)
    return jnp.sqrt(jnp.where(square == 0, jnp.ones_like(square), square))


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def power(x: Array, exponent: Array, odd: bool = False) -> Array:
    """|x|**exponent, with the sign of x if `odd`; at x = 0 it is 0, or 1 for exponent 0.

    Closed under differentiation, so that every derivative at x = 0 is 0 where it does not exist.
    """
    zero = x == 0
    positive = jnp.exp(exponent * jnp.log(jnp.where(zero, jnp.ones_like(x), jnp.abs(x))))
    magnitude = jnp.where(zero, (exponent == 0).astype(x.dtype), positive)
    return jnp.sign(x) * magnitude if odd else magnitude


def _power_jvp(
    odd: bool, primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    x, exponent = primals
    value = power(x, exponent, odd)
    logarithm = jnp.log(jnp.where(x == 0, jnp.ones_like(x), jnp.abs(x)))
    slopes = exponent * power(x, exponent - 1, not odd), value * logarithm
    return value, weighted(slopes, tangents)


power.defjvp(_power_jvp, symbolic_zeros=True)


def similarities(a: Array, b: Array) -> Array:
    """Dot products of every vector of `a[..., I, D]` with every one of `b[..., J, D]`."""
    # The columns, and so their gradient, are arrays of their own: else it would be a product with
    # the larger matrix transposed, that of similarities, which takes a CPU twice as long.
    columns = lax.optimization_barrier(jnp.swapaxes(everywhere(b, -2), -2, -1))
    return jnp.einsum("...id,...dj->...ij", a, columns, precision=lax.Precision.HIGHEST)


def everywhere(x: Array, axis: int) -> Array:
    """`x` with the whole of `axis` on every device, where a mesh with explicit axes splits it."""
    spec = list(jax.typeof(x).sharding.spec)
    if spec[axis] is None:
        return x
    spec[axis] = None
    whole: Array = jax.sharding.reshard(x, PartitionSpec(*spec))
    return whole


def look_up(table: Array, indices: Array, axis: int = 0) -> Array:
    """Rows of a matrix, or columns for axis 1, as vectors along the last axis.

    They are split over devices as the indices are; out of range they are the last ones.
    """
    spec = jax.typeof(indices).sharding.spec
    split = any(name is not None for name in spec)
    if axis == 1:
        out = PartitionSpec(None, *spec) if split else None
        return jnp.moveaxis(table.at[:, indices].get(mode="clip", out_sharding=out), 0, -1)
    out = PartitionSpec(*spec, None) if split else None
    return table.at[indices].get(mode="clip", out_sharding=out)
