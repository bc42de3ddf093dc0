"""The largest of many without a sort, which is slow on CPU and not sharded by its batch there.

On a GPU the steps of a loop take longer than a sort.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax


def first(mask: Array, axis: int) -> Array:
    """The first index along `axis` where `mask` is True, the length where nowhere."""
    length = mask.shape[axis]
    places = lax.broadcasted_iota(jnp.int32, mask.shape, axis % mask.ndim)
    return jnp.min(jnp.where(mask, places, length), axis, initial=length)


def maximum(values: Array, axis: int) -> tuple[Array, Array]:
    """The largest value along `axis` and where it is, ties to the lower index.

    Two reductions: `argmax` is slow on CPU.
    """
    largest = jnp.max(values, axis, initial=-jnp.inf)
    return largest, first(values == jnp.expand_dims(largest, axis), axis)


def largest(values: Array, count: Array, among: Array) -> Array:
    """Which are the `count` largest of `values[N]` where `among` is True, ties to the lower index.

    NaN counts as the largest. All of `among` where they are fewer.
    """
    order = _integer_order(lax.stop_gradient(values))
    order = jnp.where(among, order, np.iinfo(order.dtype).min)
    count = jnp.minimum(count, jnp.sum(among, dtype=jnp.int32))
    threshold = _threshold(order, count)
    above, tied = order > threshold, among & (order == threshold)
    left = count - jnp.sum(above, dtype=jnp.int32)
    return above | (tied & (jnp.cumsum(tied, dtype=jnp.int32) <= left))


def places_of(mask: Array, count: int) -> Array:
    """The indices of the first `count` entries of `mask[N]` that are True, then N."""
    slots = jnp.where(mask, jnp.cumsum(mask, dtype=jnp.int32) - 1, count)
    numbers = jnp.arange(mask.size, dtype=jnp.int32)
    return jnp.full(count, mask.size, jnp.int32).at[slots].set(numbers, mode="drop")


def _integer_order(values: Array) -> Array:
    """Integers in the order of floats, -0 and 0 equal, NaN the largest, the least one left free."""
    integer = jnp.int64 if values.dtype == jnp.float64 else jnp.int32
    greatest = np.iinfo(integer).max
    bits = lax.bitcast_convert_type(jnp.where(values == 0, jnp.zeros_like(values), values), integer)
    return jnp.where(jnp.isnan(values), greatest, jnp.where(bits < 0, bits ^ greatest, bits))


def _threshold(order: Array, count: Array) -> Array:
    """The largest integer that `count` of `order` reach."""
    if not jax.typeof(order).sharding.mesh.empty:
        return _threshold_by_bits(order, count)
    threshold: Array = lax.platform_dependent(
        order, count, cpu=_threshold_by_bits, tpu=_threshold_by_bits, default=_threshold_by_sort
    )
    return threshold


def _threshold_by_sort(order: Array, count: Array) -> Array:
    greatest = np.full((), np.iinfo(order.dtype).max, order.dtype)
    falling = ~jnp.sort(~order)
    places = lax.iota(jnp.int32, order.size)
    return jnp.min(jnp.where(places == count - 1, falling, greatest), initial=greatest)


def _threshold_by_bits(order: Array, count: Array) -> Array:
    bits = np.iinfo(order.dtype).bits
    one = jnp.ones((), order.dtype)

    def refine(step: Array, threshold: Array) -> Array:
        # The first step adds the sign bit to the least integer, which wraps to 0.
        higher = threshold + lax.shift_left(one, (bits - 1 - step).astype(order.dtype))
        reached = jnp.sum(order >= higher, dtype=jnp.int32)
        return jnp.where(reached >= count, higher, threshold)

    start = jnp.full_like(jnp.max(order, initial=0), np.iinfo(order.dtype).min)
    threshold: Array = lax.fori_loop(0, bits, refine, start)
    return threshold
