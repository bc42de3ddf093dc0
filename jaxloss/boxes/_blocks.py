"""Very many pairs of boxes, a block of them at a time."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxloss._platform import undivided

# Pairs for which a TPU's fast memory holds what several kernels share, beside the results or not.
# Of smaller blocks it would rather hold large results.
FEW, SMALL, LARGE = 1 << 19, 1 << 18, 1 << 19
LANES = 128


def in_blocks(function: Callable[..., Any], shape: tuple[int, ...], *arrays: Array) -> Any:
    """`function` of boxes `[*shape, columns]` and of parameters that broadcast to `shape`.

    XLA for TPUs splits value and slopes of a box loss into several kernels. What they share goes
    through main memory unless it is small: 6 times the traffic of boxes and gradient. A loop over
    blocks keeps all but the results in fast memory.
    """
    blocks = _number_of_blocks(shape)
    if blocks == 1:
        return function(*arrays)

    @jax.custom_jvp
    def divided(*arrays: Array) -> Any:
        return lax.platform_dependent(
            *arrays, tpu=partial(_one_by_one, function, shape, blocks), default=function
        )

    @divided.defjvp
    def _of_the_whole(primals: tuple[Array, ...], tangents: tuple[Array, ...]) -> Any:
        return jax.jvp(function, primals, tangents)

    return divided(*arrays)


def _number_of_blocks(shape: tuple[int, ...]) -> int:
    """The least number of equal blocks of whole lines that are small enough; 1 for a few pairs."""
    static = all(isinstance(size, int) for size in shape)
    if not static or not undivided() or (pairs := math.prod(shape)) <= FEW:
        return 1
    lines = pairs // _length_of_line(shape)
    least = max(-(-pairs // LARGE), min(-(-pairs // SMALL), 8))
    return next((count for count in range(least, 8 * least) if lines % count == 0), 1)


def _length_of_line(shape: tuple[int, ...]) -> int:
    """Pairs that stay together: whole tiles of a TPU, where splitting the last axis is free."""
    return LANES if shape[-1] % LANES == 0 else shape[-1]


def _one_by_one(
    function: Callable[..., Any], shape: tuple[int, ...], blocks: int, *arrays: Array
) -> Any:
    rank, length = len(shape), _length_of_line(shape)
    block = (-1, shape[-1]) if length == shape[-1] else (-1,)

    def split(x: Array) -> Array:
        whole = x if x.ndim > rank else jnp.broadcast_to(x, shape)
        return whole.reshape(blocks, *block, *whole.shape[rank:])

    common = {place: x.reshape(()) for place, x in enumerate(arrays) if x.size == 1}
    divided = {place: split(x) for place, x in enumerate(arrays) if x.size > 1}

    def of_block(block: dict[int, Array]) -> Any:
        lines = {i: x.reshape(-1, length, *arrays[i].shape[rank:]) for i, x in block.items()}
        inputs = common | lines
        return function(*(inputs[place] for place in range(len(arrays))))

    results = lax.map(of_block, divided)
    return jax.tree.map(lambda x: x.reshape(*shape, *x.shape[3:]), results)
