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
from jaxloss._sums import Arrays, largest, sums, sums_on_cpu

Axes = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]
Vectors = Callable[..., Arrays]


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def scaled_products(
    vectors: Vectors, pairs: Pairs, axes: Axes, least: Array, *arrays: Any
) -> tuple[Arrays, Arrays]:
    """Scales of the vectors that are made of `arrays`, and sums of products of scaled vectors.

    A scale is a power of two that brings the largest element, the length or `least` into [4, 8):
    no product over- or underflows. It is 0 where all are 0, a constant, and of the vectors' rank,
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
    def in_two_passes(least: Array, *arrays: Any) -> tuple[Arrays, Arrays]:
        made = vectors(*arrays)
        tops = largest(tuple(jnp.abs(x) for x in made), axes)
        scales = tuple(_scale(jnp.expand_dims(top, axes), least) for top in tops)
        scaled = tuple(x * scale for x, scale in zip(made, scales, strict=True))
        products = sums(tuple(scaled[i] * scaled[j] for i, j in pairs), axes)
        return scales, tuple(jnp.expand_dims(x, axes) for x in products)

    def on_cpu(least: Array, *arrays: Any) -> tuple[Arrays, Arrays]:
        if not undivided():
            return in_two_passes(least, *arrays)
        return _in_one_pass(vectors, pairs, axes, in_two_passes, least, *arrays)

    found: tuple[Arrays, Arrays] = lax.platform_dependent(
        least, *arrays, cpu=on_cpu, default=in_two_passes
    )
    return found


def _in_one_pass(
    vectors: Vectors,
    pairs: Pairs,
    axes: Axes,
    in_two_passes: Callable[..., tuple[Arrays, Arrays]],
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
    chosen: tuple[Arrays, Arrays] = lax.cond(all_safe, scaled, in_two_passes, least, *arrays)
    return chosen


def _scale(top: Array, least: Array) -> Array:
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
