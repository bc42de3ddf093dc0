"""Boxes as columns: functions of them with a gradient that is written in one pass."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, broadcast_shape, hide
from jaxloss._derivatives import computed_together, known_at_once, pullback, settled, varied_places
from jaxloss.boxes._blocks import in_blocks

Columns = tuple[Array, ...]
Summands = Array | tuple[Array, ...]

CORNERS = "boxes as x1, y1, x2, y2; convert other formats with `jaxloss.boxes.convert`"
ROTATED = "rotated boxes as cx, cy, w, h, radians; corners become them by `rotated_from_corners`"


def boxes_of(
    check: Arguments,
    where: ArrayLike | None = None,
    *,
    columns: int = 4,
    **boxes: ArrayLike,
) -> tuple[Array, Array, Array | None]:
    """Two arrays of boxes `[..., columns]` that broadcast, 0 where masked, and the mask `[...]`."""
    first, second = check.floats(**boxes)
    for name, array in zip(boxes, (first, second), strict=True):
        check.shape(name, array, (..., columns), CORNERS if columns == 4 else ROTATED)
    name, other = boxes
    check.broadcastable(other, second, first.shape, f"`{name}`")
    mask = check.where(where, broadcast_shape(first[..., 0], second[..., 0]))
    if mask is not None:
        first, second = hide(mask[..., None], first, second)
    return first, second, mask


def of_boxes(
    of_columns: Callable[..., Summands], value: Callable[..., Array] | None = None
) -> Callable[..., Array]:
    """A function of the columns of two boxes as one of predictions and targets `[..., columns]`.

    Parameters come after the boxes, and broadcast to `[...]`. The derivative is that of
    `of_columns`, taken column by column: a gradient written as one select over the columns is a
    single pass, where autodiff's padded columns are one each.

    Where the slopes of two summands are large and cancel within each of them, `of_columns` returns
    both, and each is differentiated on its own. `value` is the same function, written for where it
    is not differentiated.
    """
    forward = of_columns if value is None else value

    @jax.custom_jvp
    def function(predictions: Array, targets: Array, *parameters: Array) -> Array:
        value: Array = of_value(predictions, targets, *parameters)
        return value

    @jax.jit
    def of_value(predictions: Array, targets: Array, *parameters: Array) -> Array:
        return settled(_sum(forward(columns_of(predictions), columns_of(targets), *parameters)))

    @functools.partial(jax.jit, static_argnums=0)
    def value_and_slopes(varied: tuple[int, ...], *primals: Array) -> tuple[Array, list[Array]]:
        shape = broadcast_shape(*(primal[..., 0] for primal in primals[:2]))
        inputs = [jnp.broadcast_to(boxes, (*shape, boxes.shape[-1])) for boxes in primals[:2]]
        for place, primal in enumerate(primals[2:], 2):
            inputs.append(jnp.broadcast_to(primal, shape) if place in varied else primal)
        result: tuple[Array, list[Array]] = in_blocks(
            functools.partial(of_all, varied), shape, *inputs
        )
        return result

    def of_all(varied: tuple[int, ...], *inputs: Array) -> tuple[Array, list[Array]]:
        columns = [*map(columns_of, inputs[:2]), *inputs[2:]]
        summands, pull = pullback(of_columns, varied, columns)
        slopes = jax.tree.map(lambda *x: _sum(x), *(pull(unit) for unit in _units(summands)))
        leaves, structure = jax.tree.flatten((settled(_sum(summands)), slopes))
        value, slopes = jax.tree.unflatten(structure, computed_together(*leaves))
        return value, [
            from_columns(slope) if place < 2 else slope
            for place, slope in zip(varied, slopes, strict=True)
        ]

    def jvp(primals: tuple[Array, ...], tangents: tuple[Any, ...]) -> tuple[Array, Array]:
        varied = varied_places(tangents)
        value, slopes = known_at_once(functools.partial(value_and_slopes, varied))(*primals)
        products = [
            jnp.sum(slope * tangents[place], -1) if place < 2 else slope * tangents[place]
            for place, slope in zip(varied, slopes, strict=True)
        ]
        return value, _sum(tuple(products))

    function.defjvp(jvp, symbolic_zeros=True)
    return function


def _sum(summands: Summands) -> Array:
    return functools.reduce(jnp.add, summands) if isinstance(summands, tuple) else summands


def _units(summands: Summands) -> list[Any]:
    """For each summand the cotangent that is 1 for it, and 0 for the others."""
    if not isinstance(summands, tuple):
        return [jnp.ones_like(summands)]
    one = jnp.ones_like(summands[0])
    places = range(len(summands))
    return [tuple(one if place == other else 0 * one for other in places) for place in places]


def columns_of(boxes: Array) -> Columns:
    return tuple(boxes[..., column] for column in range(boxes.shape[-1]))


def from_columns(columns: Columns) -> Array:
    """Columns put together by selection, as one pass; stacked or padded they would be several.

    The columns of a TPU's boxes lie one after the other, those of others alternate: a selection
    that does not follow them costs a copy.
    """
    boxes: Array = lax.platform_dependent(
        *columns,
        tpu=functools.partial(_selected, axis=0),
        default=functools.partial(_selected, axis=-1),
    )
    return boxes


def _selected(*columns: Array, axis: int) -> Array:
    expanded = [jnp.expand_dims(column, axis) for column in columns]
    shape = [1] * expanded[0].ndim
    shape[axis] = len(columns)
    place = lax.broadcasted_iota(jnp.int32, shape, axis % len(shape))
    return jnp.moveaxis(_choice(place, expanded, 0), axis, -1)


def _choice(place: Array, columns: list[Array], first: int) -> Array:
    """The column numbered `place`, of columns numbered from `first`."""
    if len(columns) == 1:
        return columns[0]
    half = len(columns) // 2
    lower = _choice(place, columns[:half], first)
    return jnp.where(place < first + half, lower, _choice(place, columns[half:], first + half))
