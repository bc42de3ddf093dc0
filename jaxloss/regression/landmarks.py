"""Losses for landmarks: of their coordinates, and of the heat maps that they are read from."""

import math

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, keep, result_like
from jaxloss._derivatives import elementwise, weighted
from jaxloss._numerics import absolute
from jaxloss.regression._residual import residual_of


def wing_loss(
    predictions: ArrayLike,
    targets: ArrayLike | None = None,
    *,
    width: ArrayLike = 10.0,
    curvature: ArrayLike = 2.0,
    where: ArrayLike | None = None,
) -> Array:
    """Absolute error that turns logarithmic within `width`, so that small errors count more.

    Formula:
      `width log(1 + |r| / curvature)` if `|r| < width`, else
      `|r| - width + width log(1 + width / curvature)`, with `r = predictions - targets`.

    Args:
      predictions: `[...]`, coordinates of landmarks; the defaults are for pixels.
      targets: `[...]`, the same unit; 0 by default.
      width: `>= 0`, in the unit of the predictions, the range of the logarithm.
      curvature: `> 0`, in the unit of the predictions: the smaller, the more a small error counts.
        It and `width` are scalars, vectors along the last axis, or of the rank of the
        predictions, and may be traced.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, inf), in the unit of the predictions. Relative precision is the same for a
      small loss as for 1.

    Edge cases:
      Two kinks. The derivative at `r = 0` is 0, the middle; at `|r| = width` it is 1, that of the
      outer branch. The gradient is `width / (curvature + |r|)` below it, `width / curvature` close
      to 0.

    Differences:
      pytorch-toolbelt's defaults are a width of 5 and a curvature of 0.5.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the ranks differ, or a dimension is neither equal nor 1.

    Reference:
      Feng, Kittler, Awais, Huber, Wu, "Wing Loss for Robust Facial Landmark Localisation with
      Convolutional Neural Networks", 2018, arXiv 1711.06753.

    Example:
      >>> losses = jaxloss.wing_loss(jnp.array([0.3, -1.7, 20.0]))
      >>> print(np.array_str(losses, precision=4))
      [ 1.3976  6.1519 27.9176]
    """
    check = Arguments("wing_loss")
    residual, mask = residual_of(check, predictions, targets, where)
    width = check.parameter("width", width, residual, at_least=0)
    curvature = check.parameter("curvature", curvature, residual, above=0)
    return keep(mask, elementwise(_wing)(residual, width, curvature))


def adaptive_wing_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    omega: ArrayLike = 14.0,
    theta: ArrayLike = 0.5,
    epsilon: ArrayLike = 1.0,
    alpha: ArrayLike = 2.1,
    where: ArrayLike | None = None,
) -> Array:
    """Wing loss of heat maps: sharp on landmarks, smooth on the background.

    Formula:
      `omega log(1 + (d / epsilon)^n)` if `d < theta`, else `A (d - theta) + omega log(1 + t^n)`,
      with `d = |predictions - targets|`, `n = alpha - targets`, `t = theta / epsilon` and the
      slope `A = omega n t^(n - 1) / (epsilon (1 + t^n))` that the first branch ends with.

    Args:
      predictions: `[...]`, heat maps.
      targets: `[...]` in [0, 1], 1 on a landmark.
      omega: `>= 0`, a factor.
      theta: `>= 0` and finite, in the unit of the heat maps, the range of the logarithm.
      epsilon: `> 0`, in the unit of the heat maps: the smaller, the more a small error counts.
      alpha: `> 1` plus the largest target, so that the gradient vanishes at `d = 0`. All four are
        scalars, vectors along the last axis, or of the rank of the predictions, and may be traced.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, inf).

    Edge cases:
      Once differentiable everywhere, with gradient 0 at `d = 0`. There the second derivative,
      infinite in the limit where `n < 2`, is 0. Targets are differentiable, in the exponent, too.

    Differences:
      The paper also weighs pixels near landmarks with 11 instead of 1: that is a weight for
      `mean`, not a part of this function.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the ranks differ, or a dimension is neither equal nor 1.

    Reference:
      Wang, Bo, Fuxin, "Adaptive Wing Loss for Robust Face Alignment via Heatmap Regression", 2019,
      arXiv 1904.07399.

    Example:
      >>> predictions, targets = jnp.array([0.7, 0.8, 0.1]), jnp.array([1.0, 0.0, 0.5])
      >>> losses = jaxloss.adaptive_wing_loss(predictions, targets)
      >>> print(np.array_str(losses, precision=4))
      [3.3017 6.2717 2.9077]
    """
    check = Arguments("adaptive_wing_loss")
    (x, y), mask = check.masked_pair(where, predictions=predictions, targets=targets)
    like = result_like(x, y)
    parameters = (
        check.parameter("omega", omega, like, at_least=0),
        check.parameter("theta", theta, like, at_least=0, below=math.inf),
        check.parameter("epsilon", epsilon, like, above=0),
        check.parameter("alpha", alpha, like, above=1),
    )
    return keep(mask, elementwise(_adaptive_wing, expensive=2)(x, y, *parameters))


def _wing(residual: Array, width: Array, curvature: Array) -> Array:
    magnitude = absolute(residual)
    inside = magnitude < width
    inner = jnp.where(inside, magnitude, width)
    outer = jnp.where(inside, 0, magnitude - width)
    return width * jnp.log1p(inner / curvature) + outer


def _adaptive_wing(
    x: Array, y: Array, omega: Array, theta: Array, epsilon: Array, alpha: Array
) -> Array:
    # Smooth around 0, with its second derivative where that exists: so |r| has slope 1 there.
    distance = jnp.where(x < y, y - x, x - y)
    inside = distance < theta
    inner = jnp.where(inside, distance, theta)
    outer = jnp.where(inside, 0, absolute(x - y) - theta)
    exponent, edge = alpha - y, theta / epsilon
    rise = exponent * _power(edge, exponent - 1) / (epsilon * (1 + _power(edge, exponent)))
    return omega * (jnp.log1p(_power(inner / epsilon, exponent)) + rise * outer)


@jax.custom_jvp
def _power(base: Array, exponent: Array) -> Array:
    """base**exponent for a base >= 0; 0, whatever the exponent but 0, where the base is 0."""
    power = jnp.exp(exponent * jnp.log(jnp.where(base == 0, 1, base)))
    return jnp.where((base == 0) & (exponent != 0), 0, power)


def _power_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    base, exponent = primals
    power = _power(base, exponent)
    along_exponent = power * jnp.log(jnp.where(base == 0, 1, base))
    slopes = exponent * _power(base, exponent - 1), along_exponent
    return power, weighted(slopes, tangents)


_power.defjvp(_power_jvp, symbolic_zeros=True)
