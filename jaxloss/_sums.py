"""Sums of several arrays in one pass over what they are computed from."""

import functools
import math
import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxloss._platform import undivided

# LLVM unrolls loops of 16, and no longer ones.
MOST_STRIPS, LEAST_STRIPS = 16, 4
# Of vectors, in elements: less would be done one by one, more lie too far apart to be read ahead.
NARROWEST, WIDEST = 8, 32

Arrays = tuple[Array, ...]


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def sums(arrays: Arrays, axes: tuple[int, ...]) -> Arrays:
    """The sum of each array over the axes.

    The compiler for CPUs writes arrays of the input's size if each has its own reduction.
    """
    return _summed(arrays, axes)


@sums.defjvp
def _sums_jvp(
    axes: tuple[int, ...], primals: tuple[Arrays], tangents: tuple[Arrays]
) -> tuple[Arrays, Arrays]:
    return sums(*primals, axes), tuple(jnp.sum(tangent, axes) for tangent in tangents[0])


def _summed(arrays: Arrays, axes: tuple[int, ...]) -> Arrays:
    if not axes:
        return arrays
    if not jax.typeof(arrays[0]).sharding.mesh.empty:
        # One by one: of a divided axis, parts of one sum are added up, those of several gathered.
        return tuple(x for array in arrays for x in _over_axes((array,), axes))

    def on_cpu(*arrays: Array) -> Arrays:
        return _on_cpu(arrays, axes)

    def on_gpu(*arrays: Array) -> Arrays:
        # Of columns, three at once overflow the shared memory, and the terms would be written.
        step = len(arrays) if arrays[0].ndim - 1 in axes else 2
        parts = (arrays[i : i + step] for i in range(0, len(arrays), step))
        return tuple(x for part in parts for x in _over_axes(part, axes))

    def anywhere(*arrays: Array) -> Arrays:
        return _over_axes(arrays, axes)

    summed: Arrays = lax.platform_dependent(
        *arrays, cpu=on_cpu, cuda=on_gpu, rocm=on_gpu, default=anywhere
    )
    return summed


def sums_on_cpu(arrays: Arrays, axes: tuple[int, ...]) -> Arrays:
    """`sums`, in what is traced for CPUs alone."""
    return _on_cpu(arrays, axes) if axes else arrays


def _on_cpu(arrays: Arrays, axes: tuple[int, ...]) -> Arrays:
    if len(arrays) == 1:
        # Of one array alone the compiler would write all terms: so it is two.
        (x,), zero = arrays, jnp.zeros((), arrays[0].dtype)
        above, rest = _on_cpu((jnp.where(x > 0, x, zero), jnp.where(x > 0, zero, x)), axes)
        return (above + rest,)
    if undivided():
        joined = _joined(jax.typeof(arrays[0]).shape, axes)
        if _fits(*joined):
            return _along_lines(arrays, axes, *joined)
        arrays = _strips(arrays, axes)
    return _over_axes(arrays, axes)


def _joined(shape: tuple[Any, ...], axes: tuple[int, ...]) -> tuple[int, int]:
    """How many elements are reduced to one, and how far apart they lie; 0 if not evenly."""
    first, end = axes[0], axes[-1] + 1
    if end - first > len(axes) or not all(isinstance(size, int) for size in shape[first:]):
        return 0, 0
    return math.prod(shape[first:end]), math.prod(shape[end:])


def _width(distance: int) -> int:
    """How many neighbours, a power of two, have at least the elements of a vector between them."""
    return 1 << (-(-NARROWEST // distance) - 1).bit_length()


def _fits(size: int, distance: int) -> bool:
    if size == 0 or not 0 < distance <= WIDEST:
        return False
    width = _width(distance)
    return size % width == 0 and _most_strips(size // width) >= LEAST_STRIPS


def _along_lines(
    arrays: Arrays,
    axes: tuple[int, ...],
    size: int,
    distance: int,
) -> Arrays:
    """Up to 16 neighbouring vectors as one, again and again.

    As vectors for the reason of `_strips`, and neighbouring ones since a CPU reads ahead in few
    places at a time.
    """
    shape = jax.typeof(arrays[0]).shape
    before, after = shape[: axes[0]], shape[axes[-1] + 1 :]
    width = _width(distance)
    while (count := _most_strips(size // width)) >= LEAST_STRIPS:
        cut = (*before, size // (count * width), count, width * distance)
        cuts = tuple(x.reshape(cut) for x in arrays)
        arrays = _over_axis(cuts, axes[0] + 1)
        size //= count
    lines = tuple(x.reshape(*before, size, *after) for x in arrays)
    return _over_axis(lines, axes[0])


def _over_axes(arrays: Arrays, axes: tuple[int, ...]) -> Arrays:
    """The last axis goes first, which keeps the digits of sums over large images."""
    for axis in sorted(axes, reverse=True):
        arrays = _over_axis(arrays, axis)
    return arrays


def _strips(arrays: Arrays, axes: tuple[int, ...]) -> Arrays:
    """Up to 16 strips of each array, cut along the axis that gives most of them, as one.

    Element by element, which the compiler for CPUs makes vector instructions: several times as
    fast as along the last axis, which it does one number after another.
    """
    aval = jax.typeof(arrays[0])
    counts = {axis: _most_strips(aval.shape[axis]) for axis in axes}
    axis, count = max(counts.items(), key=operator.itemgetter(1))
    if count < LEAST_STRIPS:
        return arrays
    before, after = aval.shape[:axis], aval.shape[axis + 1 :]
    width = aval.shape[axis] // count
    strips = tuple(x.reshape(*before, count, width * math.prod(after)) for x in arrays)
    combined = _over_axis(strips, axis)
    return tuple(x.reshape(*before, width, *after) for x in combined)


def _most_strips(size: Any) -> int:
    """The largest number up to 16 that divides it, 1 if it is symbolic."""
    if not isinstance(size, int):
        return 1
    return max(count for count in range(1, MOST_STRIPS + 1) if size % count == 0)


def _over_axis(arrays: Arrays, axis: int) -> Arrays:
    zeros = tuple(np.zeros((), array.dtype) for array in arrays)
    return tuple(lax.reduce(arrays, zeros, functools.partial(jax.tree.map, operator.add), (axis,)))
