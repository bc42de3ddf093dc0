"""Two rotated boxes in the frame of the second: what all their losses start from."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxloss._numerics import (
    difference,
    inverse_power_of_two,
    inverse_root,
    root,
    scaled_ratio,
    select,
)
from jaxloss.boxes._columns import Columns


class Pair(NamedTuple):
    """A pair of rotated boxes in the frame of the second.

    Attributes:
      across, up: the first's centre, along the second's axes.
      width, height, target_width, target_height: sides, of the first and the second.
      cosine, sine: of the angle from the second to the first.
    """

    across: Array
    up: Array
    width: Array
    height: Array
    target_width: Array
    target_height: Array
    cosine: Array
    sine: Array


def pair_of(first: Columns, second: Columns) -> Pair:
    """The pair from the columns cx, cy, w, h, radians of both."""
    (x, y, w, h, turn), (X, Y, W, H, target_turn) = first, second
    cosine, sine = cosine_and_sine(target_turn)
    across, up = rotated(_apart(x, X), _apart(y, Y), cosine, -sine)
    return Pair(across, up, w, h, W, H, *_between(turn, target_turn))


def _apart(a: Array, b: Array) -> Array:
    """a - b, at most an eighth of the largest number, which leaves room for what follows."""
    apart, largest = a - b, 0.125 * np.finfo(a.dtype).max
    return select(apart > largest, largest, select(apart < -largest, -largest, apart))


def named_by_angle(pair: Pair) -> Pair:
    """The pair with the first turned by at most an eighth of a circle."""
    return _exchanged(pair, jnp.abs(pair.sine) > jnp.abs(pair.cosine))


def named_by_length(pair: Pair) -> Pair:
    """The pair with the longer sides of both as widths."""
    pair = _exchanged(pair, pair.target_height > pair.target_width)
    higher = pair.height > pair.width
    return pair._replace(
        width=jnp.where(higher, pair.height, pair.width),
        height=jnp.where(higher, pair.width, pair.height),
        cosine=jnp.where(higher, -pair.sine, pair.cosine),
        sine=jnp.where(higher, pair.cosine, pair.sine),
    )


def _exchanged(pair: Pair, where: Array) -> Pair:
    """The second turned by a quarter with its sides exchanged, which is the same box."""
    return Pair(
        across=jnp.where(where, pair.up, pair.across),
        up=jnp.where(where, -pair.across, pair.up),
        width=pair.width,
        height=pair.height,
        target_width=jnp.where(where, pair.target_height, pair.target_width),
        target_height=jnp.where(where, pair.target_width, pair.target_height),
        cosine=jnp.where(where, pair.sine, pair.cosine),
        sine=jnp.where(where, -pair.cosine, pair.sine),
    )


def _between(turn: Array, target_turn: Array) -> tuple[Array, Array]:
    """Cosine and sine of the difference, without its rounding: slivers see it."""
    between, lost = turn - target_turn, lax.stop_gradient(difference(turn, target_turn)[1])
    cosine, sine = cosine_and_sine(between)
    return cosine - lost * sine, sine + lost * cosine


@jax.custom_jvp
def cosine_and_sine(turn: Array) -> tuple[Array, Array]:
    """Of an angle.

    XLA for CPUs takes both for cheap, and would compute them again in each of dozens of kernels;
    a division it does not repeat.
    """

    def once(turn: Array) -> tuple[Array, Array]:
        one = select(turn == turn, 1.0, turn)
        return jnp.cos(turn) / one, jnp.sin(turn) / one

    result: tuple[Array, Array] = lax.platform_dependent(
        turn, cpu=once, default=lambda turn: (jnp.cos(turn), jnp.sin(turn))
    )
    return result


@cosine_and_sine.defjvp
def _cosine_and_sine_jvp(
    primals: tuple[Array], tangents: tuple[Array]
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    (turn,), (change,) = primals, tangents
    cosine, sine = cosine_and_sine(turn)
    return (cosine, sine), (-sine * change, cosine * change)


def rotated(x: Array, y: Array, cosine: Array, sine: Array) -> tuple[Array, Array]:
    """The vector (x, y) turned from x towards y."""
    return cosine * x - sine * y, sine * x + cosine * y


def length(x: Array, y: Array) -> Array:
    """sqrt(x^2 + y^2), with derivative 0 at the origin."""
    return polar(x, y)[0]


@jax.custom_jvp
def polar(x: Array, y: Array) -> tuple[Array, Array, Array]:
    """Length, cosine and sine of a vector; all 0 at the origin, and their derivatives."""
    unit = inverse_power_of_two(jnp.maximum(jnp.abs(x), jnp.abs(y)))
    x, y = x * unit, y * unit
    square = select(unit == 0, 1.0, jnp.square(x) + jnp.square(y))
    size, inverse = root(square), inverse_root(square)
    return select(unit == 0, x, size * inverse_power_of_two(unit)), x * inverse, y * inverse


@polar.defjvp
def _polar_jvp(
    primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[tuple[Array, Array, Array], tuple[Array, Array, Array]]:
    """Along the vector, and across it: apart, neither is a small difference of large numbers."""
    size, cosine, sine = polar(*primals)
    dx, dy = tangents
    turn = scaled_ratio(cosine * dy - sine * dx, size)
    return (size, cosine, sine), (cosine * dx + sine * dy, -sine * turn, cosine * turn)
