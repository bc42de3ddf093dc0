"""The logarithm by arithmetic, which is fused with what is before and after it.

XLA's own takes two to three times as long on a CPU, and on a GPU has its result written. A TPU has
an instruction for it: by arithmetic, entropies would take four times as many there.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxloss._derivatives import weighted
from jaxloss._numerics import horner, scaled_ratio, select
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
def logarithm(*factors: Array) -> Array:
    """ln of the product of factors, of which it need not be representable.

    In float32 that of one number is right to 1 ulp: -inf of 0 and of what is subnormal, NaN below.
    Several are normal numbers. Derivatives are 1 / x, and pass through no powers of a small x.
    """
    if len(factors) == 1:
        value: Array = lax.platform_dependent(*factors, tpu=jnp.log, default=_by_arithmetic)
        return value
    fractions, powers = zip(*map(_parts, factors), strict=True)
    fraction, power = _parts(functools.reduce(jnp.multiply, fractions))
    return _combined(fraction - 1, functools.reduce(jnp.add, powers, power))


def _logarithm_jvp(primals: tuple[Array, ...], tangents: tuple[Any, ...]) -> tuple[Array, Array]:
    return logarithm(*primals), weighted(tuple(map(_inverse, primals)), tangents)


logarithm.defjvp(_logarithm_jvp, symbolic_zeros=True)


@jax.custom_jvp
def logarithm_of_one_plus(x: Array) -> Array:
    """ln(1 + x), with the digits of a small x."""
    fraction, power = _parts(1 + x)
    return _of(1 + x, select(power == 0, x, fraction - 1), power)


@logarithm_of_one_plus.defjvp
def _logarithm_of_one_plus_jvp(
    primals: tuple[Array], tangents: tuple[Array]
) -> tuple[Array, Array]:
    (x,) = primals
    return logarithm_of_one_plus(x), _inverse(1 + x) * tangents[0]


def _by_arithmetic(x: Array) -> Array:
    fraction, power = _parts(x)
    return _of(x, fraction - 1, power)


def _parts(x: Array) -> tuple[Array, Array]:
    """A fraction from sqrt(1/2) to sqrt(2) and a whole number n with x = 2^n fraction."""
    integer = np.dtype(f"int{8 * x.dtype.itemsize}")
    digits = np.finfo(x.dtype).nmant
    bits = lax.bitcast_convert_type(x, integer)
    power = (bits - np.sqrt(np.array(0.5, x.dtype)).view(integer)) >> digits
    return lax.bitcast_convert_type(bits - (power << digits), x.dtype), power


def _of(x: Array, f: Array, power: Array) -> Array:
    """ln(x), with x = 2^power (1 + f) where it is normal and finite."""
    none = select(x < 0, jnp.nan, jnp.full_like(x, -jnp.inf))
    value = select(x < jnp.inf, _combined(f, power), x)
    return select(x < np.finfo(x.dtype).tiny, none, value)


def _combined(f: Array, power: Array) -> Array:
    """ln(2^power (1 + f)) of a small f."""
    n, square = power.astype(f.dtype), f * f
    if f.dtype == jnp.float64:
        value: Array = jnp.log1p(f) + n * np.log(2)
    else:
        curved = f * square * horner(f, REST) - 0.5 * square
        value = n * LN2[0] + (f + (curved + n * LN2[1]))
    return value


def _inverse(x: Array) -> Array:
    inverse: Array = scaled_ratio(jnp.ones_like(x), x)
    return select(jnp.abs(x) < np.finfo(x.dtype).tiny, jnp.inf, inverse)


logarithm = traced_once(logarithm)
logarithm_of_one_plus = traced_once(logarithm_of_one_plus)
