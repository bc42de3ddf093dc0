"""The logarithm by arithmetic, which is fused with what is before and after it.

XLA's own takes two to three times as long on a CPU, and on a GPU has its result written. A TPU has
an instruction for it: by arithmetic, entropies would take four times as many there.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxloss._numerics import horner, inverse_power_of_two, reciprocal, select
from jaxloss._tracing import traced_once

# ln 2 in two parts, of which a small whole number times the first is exact.
LN2 = np.float32(0.693359375), np.float32(np.log(2) - 0.693359375)
# (ln(1 + f) - f + f^2 / 2) / f^3 for 1 + f from sqrt(1/2) to sqrt(2), minimax (Cephes, logf).
REST = (
    3.3333331174e-1,
    -2.4999993993e-1,
    2.0000714765e-1,
    -1.6668057665e-1,
    1.4249322787e-1,
    -1.2420140846e-1,
    1.1676998740e-1,
    -1.1514610310e-1,
    7.0376836292e-2,
)


@jax.custom_jvp
def logarithm(x: Array, unit: Array | None = None) -> Array:
    """ln(unit x): -inf of 0 and of what is subnormal, NaN below.

    In float32 it is right to 1 ulp. The derivative is 1 / x, and passes through no powers of a
    small x. The unit is a power of two, 1 if None, and constant.
    """
    if unit is None:
        value: Array = lax.platform_dependent(x, tpu=jnp.log, default=_by_arithmetic)
        return value
    fraction, power = _parts(x)
    return _logarithm(x, fraction - 1, power + _parts(unit)[1])


@logarithm.defjvp
def _logarithm_jvp(
    primals: tuple[Array, Array | None], tangents: tuple[Array, Array | None]
) -> tuple[Array, Array]:
    return logarithm(*primals), _inverse(primals[0]) * tangents[0]


@jax.custom_jvp
def logarithm_of_one_plus(x: Array) -> Array:
    """ln(1 + x), with the digits of a small x."""
    fraction, power = _parts(1 + x)
    return _logarithm(1 + x, select(power == 0, x, fraction - 1), power)


@logarithm_of_one_plus.defjvp
def _logarithm_of_one_plus_jvp(
    primals: tuple[Array], tangents: tuple[Array]
) -> tuple[Array, Array]:
    (x,) = primals
    return logarithm_of_one_plus(x), _inverse(1 + x) * tangents[0]


def _by_arithmetic(x: Array) -> Array:
    fraction, power = _parts(x)
    return _logarithm(x, fraction - 1, power)


def _parts(x: Array) -> tuple[Array, Array]:
    """A fraction from sqrt(1/2) to sqrt(2) and a whole number n with x = 2^n fraction."""
    integer = np.dtype(f"int{8 * x.dtype.itemsize}")
    digits = np.finfo(x.dtype).nmant
    bits = lax.bitcast_convert_type(x, integer)
    power = (bits - np.sqrt(np.array(0.5, x.dtype)).view(integer)) >> digits
    return lax.bitcast_convert_type(bits - (power << digits), x.dtype), power


def _logarithm(x: Array, f: Array, power: Array) -> Array:
    """ln(2^power (1 + f)) of a small f, which is that of x or a multiple of it."""
    n = power.astype(x.dtype)
    if x.dtype == jnp.float64:
        value = jnp.log1p(f) + n * np.log(2)
    else:
        square = f * f
        curved = f * square * horner(f, REST) - 0.5 * square
        value = n * LN2[0] + (f + (curved + n * LN2[1]))
    none = select(x < 0, jnp.nan, jnp.full_like(x, -jnp.inf))
    return select(x < np.finfo(x.dtype).tiny, none, select(x < jnp.inf, value, x))


def _inverse(x: Array) -> Array:
    scale = inverse_power_of_two(x)
    normal = scale > 0
    return select(normal, scale * reciprocal(select(normal, x * scale, 1.0)), jnp.inf)


logarithm = traced_once(logarithm)
logarithm_of_one_plus = traced_once(logarithm_of_one_plus)
