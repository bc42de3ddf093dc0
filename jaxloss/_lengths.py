"""Lengths of vectors: total, and in few passes over them."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.custom_derivatives import SymbolicZero

from jaxloss._numerics import inverse_power_of_two
from jaxloss._sums import Arrays, largest, sums

Axes = tuple[int, ...]


class Scaled(NamedTuple):
    """Vectors times a power of two that brings the largest element, or `least`, into [4, 8).

    No square of them over- or underflows. The scale is 0 where both are 0, a constant, and of the
    rank of the vectors.
    """

    x: Array
    scale: Array


def scaled(vectors: Arrays, axes: Axes, least: Array | float = 0.0) -> tuple[Scaled, ...]:
    least = lax.stop_gradient(least)
    tops = largest(tuple(jnp.abs(lax.stop_gradient(x)) for x in vectors), axes)
    scales = (
        inverse_power_of_two(0.25 * jnp.maximum(jnp.expand_dims(top, axes), least)) for top in tops
    )
    return tuple(Scaled(x * scale, scale) for x, scale in zip(vectors, scales, strict=True))


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def lengths(vectors: Arrays, floor: Array, axes: Axes) -> Arrays:
    """(sum x^2 + floor)^(1/2) of vectors x; 0 with derivative 0 where that is 0."""
    return tuple(
        jnp.squeeze(jnp.where(scale == 0, 0, root / jnp.where(scale == 0, 1, scale)), axes)
        for (_, scale), root in _roots(vectors, floor, axes)
    )


def _lengths_jvp(
    axes: Axes, primals: tuple[Arrays, Array], tangents: tuple[tuple[Any, ...], Any]
) -> tuple[Arrays, Arrays]:
    changes, change_of_floor = tangents
    slopes = []
    for ((x, scale), root), change in zip(_roots(*primals, axes), changes, strict=True):
        slope = jnp.zeros_like(root)
        if not isinstance(change, SymbolicZero):
            slope += jnp.sum((x / root) * change, axes, keepdims=True)
        if not isinstance(change_of_floor, SymbolicZero):
            slope += 0.5 * change_of_floor * scale / root
        slopes.append(jnp.squeeze(slope, axes))
    return lengths(*primals, axes), tuple(slopes)


lengths.defjvp(_lengths_jvp, symbolic_zeros=True)


def _roots(vectors: Arrays, floor: Array, axes: Axes) -> list[tuple[Scaled, Array]]:
    """Scaled vectors, and their lengths in that unit, 1 where they are 0."""
    each = scaled(vectors, axes, jnp.sqrt(lax.stop_gradient(floor)))
    squares = sums(tuple(jnp.square(x) for x, _ in each), axes)
    return [
        (
            v,
            jnp.sqrt(
                jnp.where(v.scale == 0, 1, jnp.expand_dims(square, axes) + floor * v.scale**2)
            ),
        )
        for v, square in zip(each, squares, strict=True)
    ]
