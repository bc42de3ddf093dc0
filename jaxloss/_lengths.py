"""Lengths and products of vectors: total, and in few passes over them."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.custom_derivatives import SymbolicZero

from jaxloss._derivatives import written_together
from jaxloss._numerics import inverse_power_of_two
from jaxloss._platform import undivided
from jaxloss._sums import Arrays, sums, sums_on_cpu

Axes = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]
Vectors = Callable[..., Arrays]


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def scaled_products(
    vectors: Vectors, pairs: Pairs, axes: Axes, least: Array, *arrays: Any
) -> tuple[Arrays, Arrays]:
    """Scales of the vectors that are made of `arrays`, and sums of products of scaled vectors.

    A scale is a power of two that brings the length or `least` into [4, 8): no product over- or
    underflows. It is 0 where all are 0, a constant, and of the vectors' rank,
    as the sums are. The `pairs` are of numbers of vectors, each with itself among them.
    """
    found: tuple[Arrays, Arrays] = _found(vectors, pairs, axes, least, *arrays)
    return found


@scaled_products.defjvp
def _scaled_products_jvp(
    vectors: Vectors, pairs: Pairs, axes: Axes, primals: tuple[Any, ...], tangents: tuple[Any, ...]
) -> tuple[tuple[Arrays, Arrays], tuple[Arrays, Arrays]]:
    scales, products = scaled_products(vectors, pairs, axes, *primals)
    made, changes = jax.jvp(vectors, primals[1:], tangents[1:])
    x, dx = (
        tuple(part * scale for part, scale in zip(parts, scales, strict=True))
        for parts in (made, changes)
    )
    slopes = tuple(jnp.sum(x[i] * dx[j] + dx[i] * x[j], axes, keepdims=True) for i, j in pairs)
    return (scales, products), (jax.tree.map(jnp.zeros_like, scales), slopes)


# Compiled, since `jax_debug_nans` would stop at overflows that are not selected.
@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _found(
    vectors: Vectors, pairs: Pairs, axes: Axes, least: Array, *arrays: Any
) -> tuple[Arrays, Arrays]:
    def at_three_sizes(least: Array, *arrays: Any) -> tuple[Arrays, Arrays]:
        return _at_three_sizes(vectors, pairs, axes, least, *arrays)

    def on_cpu(least: Array, *arrays: Any) -> tuple[Arrays, Arrays]:
        if not undivided():
            return at_three_sizes(least, *arrays)
        return _at_one_scale(vectors, pairs, axes, at_three_sizes, least, *arrays)

    found: tuple[Arrays, Arrays] = lax.platform_dependent(
        least, *arrays, cpu=on_cpu, default=at_three_sizes
    )
    return found


def _at_three_sizes(
    vectors: Vectors, pairs: Pairs, axes: Axes, least: Array, *arrays: Any
) -> tuple[Arrays, Arrays]:
    """Products of the vectors as they are, far larger and far smaller, in one pass.

    At one of these sizes they neither over- nor underflow: the product of the lengths tells which.
    """
    made = vectors(*arrays)
    size = _size(made[0].dtype)
    terms = ((made[i] * by) * (made[j] * by) for i, j in pairs for by in (1.0, size, 1 / size))
    found = tuple(jnp.expand_dims(x, axes) for x in sums(tuple(terms), axes))
    products = dict(zip(pairs, zip(found[::3], found[1::3], found[2::3], strict=True), strict=True))
    lengths = tuple(_length(*products[i, i]) for i in range(len(made)))
    scales = tuple(_scale(length, least) for length in lengths)

    def scaled(i: int, j: int) -> Array:
        as_is, larger, smaller = products[i, j]
        (a, by_a), (b, by_b) = (_own(lengths[k]) for k in (i, j))
        small, large = a * b < 1 / size, a * b > float(np.finfo(a.dtype).max) / 256
        product = jnp.where(small, larger, jnp.where(large, smaller, as_is))
        back = jnp.where(small, 1 / size, jnp.where(large, size, jnp.ones_like(a)))
        # Both at once, since one alone may over- or underflow.
        cosine = product * ((back * by_a) * (back * by_b))
        return cosine * (scales[i] / by_a) * (scales[j] / by_b)

    return scales, tuple(scaled(i, j) for i, j in pairs)


def _size(dtype: Any) -> float:
    """2**84, of float32: what is too small to be squared is not if it is so much larger."""
    return 2.0 ** (np.finfo(dtype).maxexp * 21 // 32)


def _length(as_is: Array, larger: Array, smaller: Array) -> Array:
    """The root of a sum of squares, the highest finite number at most."""
    size = _size(as_is.dtype)
    root = jnp.where(as_is < jnp.inf, jnp.sqrt(as_is), size * jnp.sqrt(smaller))
    length = jnp.where(as_is < 1 / size, jnp.sqrt(larger) / size, root)
    return jnp.minimum(length, np.finfo(length.dtype).max)


def _own(length: Array) -> tuple[Array, Array]:
    """The length and its scale, of 1 where that is 0: such products are 0 whatever the other."""
    length = jnp.where(_scale(length, 0) == 0, 1, length)
    return length, _scale(length, 0)


def _at_one_scale(
    vectors: Vectors,
    pairs: Pairs,
    axes: Axes,
    at_three_sizes: Callable[..., tuple[Arrays, Arrays]],
    least: Array,
    *arrays: Any,
) -> tuple[Arrays, Arrays]:
    """Products of the vectors as they are, unless some over- or underflow.

    Vectors of 0 do not: the sums of absolute values tell them.
    """
    made = vectors(*arrays)
    terms = (*(made[i] * made[j] for i, j in pairs), *(jnp.abs(x) for x in made))
    found = tuple(jnp.expand_dims(x, axes) for x in sums_on_cpu(terms, axes))
    products, magnitudes = found[: len(pairs)], found[len(pairs) :]
    squares = [products[pairs.index((i, i))] for i in range(len(made))]
    precision = np.finfo(squares[0].dtype)
    safe = [
        (magnitude == 0) | ((square > precision.eps**2) & (square < jnp.inf))
        for square, magnitude in zip(squares, magnitudes, strict=True)
    ]

    def scaled(*_: Any) -> tuple[Arrays, Arrays]:
        scales = tuple(_scale(jnp.sqrt(square), least) for square in squares)
        return scales, tuple(
            product * scales[i] * scales[j] for product, (i, j) in zip(products, pairs, strict=True)
        )

    all_safe = functools.reduce(jnp.logical_and, map(jnp.all, safe))
    chosen: tuple[Arrays, Arrays] = lax.cond(all_safe, scaled, at_three_sizes, least, *arrays)
    return chosen


def _scale(top: Array, least: Array | float) -> Array:
    return inverse_power_of_two(0.25 * jnp.maximum(top, least))


@functools.partial(jax.custom_jvp, nondiff_argnums=(4,))
def distances(
    anchor: Array, others: Arrays, kept: Array | None, floor: Array, axes: Axes
) -> Arrays:
    """(sum x^2 + floor)^(1/2) of x = anchor - other where it is kept, else 0.

    It is 0 with derivative 0 where the sum is 0.
    """
    return tuple(
        jnp.squeeze(jnp.where(scale == 0, 0, root / jnp.where(scale == 0, 1, scale)), axes)
        for scale, root in zip(*_roots(anchor, others, kept, floor, axes), strict=True)
    )


def _distances_jvp(
    axes: Axes,
    primals: tuple[Array, Arrays, Array | None, Array],
    tangents: tuple[Any, tuple[Any, ...], Any, Any],
) -> tuple[Arrays, Arrays]:
    anchor, others, kept, _ = primals
    of_anchor, *of_others = written_together((tangents[0], *tangents[1]))
    scales, roots = _roots(*primals, axes)
    slopes = []
    for other, scale, root, of_other in zip(others, scales, roots, of_others, strict=True):
        slope = jnp.zeros_like(root)
        # Another text than that of the lengths: their common one would be written by CPUs.
        (back,) = _gaps(other, kept, anchor)
        unit = back * scale / root
        if not isinstance(of_anchor, SymbolicZero):
            slope -= jnp.sum(unit * of_anchor, axes, keepdims=True)
        if not isinstance(of_other, SymbolicZero):
            slope += jnp.sum(unit * of_other, axes, keepdims=True)
        if not isinstance(tangents[3], SymbolicZero):
            slope += 0.5 * tangents[3] * scale / root
        slopes.append(jnp.squeeze(slope, axes))
    return distances(*primals, axes), tuple(slopes)


distances.defjvp(_distances_jvp, symbolic_zeros=True)


def _roots(
    anchor: Array, others: Arrays, kept: Array | None, floor: Array, axes: Axes
) -> tuple[Arrays, Arrays]:
    """Scales of the gaps, and their lengths in that unit, 1 where they are 0."""
    pairs = tuple((i, i) for i in range(len(others)))
    least = jnp.sqrt(lax.stop_gradient(floor))
    scales, squares = scaled_products(_gaps, pairs, axes, least, anchor, kept, *others)
    return scales, tuple(
        jnp.sqrt(jnp.where(scale == 0, 1, square + floor * scale * scale))
        for scale, square in zip(scales, squares, strict=True)
    )


def _gaps(anchor: Array, kept: Array | None, *others: Array) -> Arrays:
    shape = jnp.broadcast_shapes(*(x.shape for x in (anchor, *others)))
    gaps = (jnp.broadcast_to(anchor - other, shape) for other in others)
    return tuple(x if kept is None else jnp.where(kept, x, 0) for x in gaps)
