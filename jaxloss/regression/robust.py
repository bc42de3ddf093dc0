"""Losses of a residual that grow more slowly than its square, so that outliers pull less."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, keep
from jaxloss._derivatives import elementwise, weighted
from jaxloss._logarithm import logarithm_of_one_plus
from jaxloss._numerics import absolute, horner, norm, quotient, ratio
from jaxloss._platform import for_tpu
from jaxloss.regression._residual import residual_of

# (exp(w) - 1) / w for |w| <= 1/2, right to the last digit of float64.
EXPONENTIAL_MINUS_ONE = tuple(1 / math.factorial(k + 1) for k in range(14))
# (artanh(s) - s) / s^3 in powers of s^2 for s <= 1/3, right to the last digit of float64.
AREA_TANGENT_REST = tuple(1 / (2 * k + 3) for k in range(17))


def log_cosh(
    predictions: ArrayLike, targets: ArrayLike | None = None, *, where: ArrayLike | None = None
) -> Array:
    """Logarithm of the hyperbolic cosine of every residual.

    Formula:
      `log(cosh(r))` with `r = predictions - targets`.

    Args:
      predictions: `[...]`.
      targets: `[...]`, the same unit; 0 by default.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, inf): `r^2 / 2` near 0, `|r| - log(2)` far from it. Relative precision is the
      same for a loss of 1e-20 as for 1.

    Edge cases:
      Smooth everywhere; the gradient is `tanh(r)`. Nothing overflows: the loss of any finite
      residual is finite.

    Differences:
      optax's function of this name, with its parameters; its text
      `logaddexp(r, -r) - log(2)` cancels near 0, where its relative error reaches 300 %.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the ranks differ, or a dimension is neither equal nor 1.

    Reference:
      Chen, Chen, Liu, "Log Hyperbolic Cosine Loss Improves Variational Auto-Encoder", 2019.

    Example:
      >>> losses = jaxloss.log_cosh(jnp.array([0.3, -1.7, 1e-4]))
      >>> print([f"{loss:.4g}" for loss in losses])
      ['0.04434', '1.04', '5e-09']
    """
    residual, mask = residual_of(Arguments("log_cosh"), predictions, targets, where)
    return keep(mask, elementwise(_log_cosh)(residual))


def charbonnier_loss(
    predictions: ArrayLike,
    targets: ArrayLike | None = None,
    *,
    epsilon: ArrayLike = 1e-3,
    where: ArrayLike | None = None,
) -> Array:
    """Absolute error whose kink is rounded to a hyperbola.

    Formula:
      `sqrt(r^2 + epsilon^2)` with `r = predictions - targets`.

    Args:
      predictions: `[...]`.
      targets: `[...]`, the same unit; 0 by default.
      epsilon: `>= 0`, in the unit of the predictions, how far the rounding reaches: a scalar, a
        vector along the last axis, or of the rank of the predictions. May be traced.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [epsilon, inf), in the unit of the predictions.

    Edge cases:
      Smooth everywhere for `epsilon > 0`; a residual of 0 costs `epsilon`. With `epsilon = 0` it
      is the absolute error, with derivative 0 at `r = 0`. The square never overflows: it is not
      formed.

    Differences:
      Pseudo-Huber losses subtract `epsilon`, so that a residual of 0 costs 0 (kornia's
      `charbonnier_loss` is `sqrt(r^2 + 1) - 1`). Some code adds `epsilon`, not its square, under
      the root.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the ranks differ, or a dimension is neither equal nor 1.

    Reference:
      Charbonnier, Blanc-Féraud, Aubert, Barlaud, "Two Deterministic Half-Quadratic Regularization
      Algorithms for Computed Imaging", 1994.

    Example:
      >>> print(jaxloss.charbonnier_loss(jnp.array([0.3, -0.4, 0.0]), epsilon=0.3))
      [0.42426407 0.5        0.3       ]
    """
    check = Arguments("charbonnier_loss")
    residual, mask = residual_of(check, predictions, targets, where)
    return keep(mask, norm(residual, check.parameter("epsilon", epsilon, residual, at_least=0)))


def general_robust_loss(
    predictions: ArrayLike,
    targets: ArrayLike | None = None,
    *,
    alpha: ArrayLike,
    scale: ArrayLike,
    where: ArrayLike | None = None,
) -> Array:
    """Barron's family of losses, from squared error to Welsch's, along one shape parameter.

    Formula:
      `|alpha - 2| / alpha ((x^2 / |alpha - 2| + 1)^(alpha / 2) - 1)` with
      `x = (predictions - targets) / scale`, and its limits: `x^2 / 2` at `alpha = 2`,
      `log(x^2 / 2 + 1)` at 0, `1 - exp(-x^2 / 2)` at -inf and `exp(x^2 / 2) - 1` at inf.

    Args:
      predictions: `[...]`.
      targets: `[...]`, the same unit; 0 by default.
      alpha: any real number, -inf and inf included, the smaller the less outliers count: 2 is
        squared error, 1 a pseudo-Huber loss, 0 Cauchy's, -2 Geman and McClure's, -inf Welsch's. A
        scalar, a vector along the last axis, or of the rank of the predictions. May be traced,
        and learned.
      scale: `> 0`, in the unit of the predictions, the residual at which it leaves the parabola.
        Shapes as for `alpha`. May be traced.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, inf); below `alpha = 0` bounded by `1 - 2 / alpha`.

    Edge cases:
      Smooth in the residual for every `alpha`: the gradient with respect to `x` is
      `x (x^2 / |alpha - 2| + 1)^(alpha / 2 - 1)`. One continuous function of `alpha`: nothing
      jumps or loses its digits near the limits. Along `alpha` the derivative at exactly 2, which
      is infinite, is 0, and so is that at -inf and inf; differentiable everywhere else, 0
      included. Finite for every residual that is finite in units of the scale and for which the
      exact number is.

    Differences:
      Barron's own code keeps `alpha` away from its limits by an epsilon; here they are exact.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the ranks differ, or a dimension is neither equal nor 1.

    Reference:
      Barron, "A General and Adaptive Robust Loss Function", 2019, arXiv 1701.03077.

    Example:
      >>> alpha = jnp.array([2.0, 1.0, 0.0, -2.0, -jnp.inf])
      >>> losses = jaxloss.general_robust_loss(jnp.full(5, 0.3), alpha=alpha, scale=0.5)
      >>> print(np.array_str(losses, precision=4))
      [0.18   0.1662 0.1655 0.1651 0.1647]
    """
    check = Arguments("general_robust_loss")
    residual, mask = residual_of(check, predictions, targets, where)
    alpha = check.parameter("alpha", alpha, residual)
    scale = check.parameter("scale", scale, residual, above=0)
    return keep(mask, elementwise(_general_robust)(residual, alpha, scale))


def balanced_l1_loss(
    predictions: ArrayLike,
    targets: ArrayLike | None = None,
    *,
    alpha: ArrayLike = 0.5,
    gamma: ArrayLike = 1.5,
    beta: ArrayLike = 1.0,
    where: ArrayLike | None = None,
) -> Array:
    """Absolute error whose gradient rises like a logarithm up to `beta`: inliers count more.

    Formula:
      `alpha / b (b |r| + beta) log(b |r| / beta + 1) - alpha |r|` if `|r| < beta`, else
      `gamma |r| + (gamma / b - alpha) beta`, with `r = predictions - targets` and
      `b = exp(gamma / alpha) - 1`.

    Args:
      predictions: `[...]`.
      targets: `[...]`, the same unit; 0 by default.
      alpha: `> 0`, how steeply the gradient rises at 0: the smaller, the more inliers count.
      gamma: `>= 0`, the gradient from `beta` on.
      beta: `>= 0`, in the unit of the predictions, where outliers begin. This, `alpha` and `gamma`
        are scalars, vectors along the last axis, or of the rank of the predictions, and may be
        traced.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, inf), in the unit of the predictions. Relative precision is the same for a
      small loss as for 1.

    Edge cases:
      Once differentiable everywhere: the gradient is `alpha log(b |r| / beta + 1)` up to `beta`,
      where it reaches `gamma`. With `beta = 0` it is `gamma |r|`, with derivative 0 at `r = 0`;
      with `beta = inf` it is 0. Where `b` overflows, value and derivatives are exact but for
      residuals below `1e-20 beta`, whose gradient begins at 0 less steeply.

    Differences:
      mmdet has the paper's formula, which is this one at `beta = 1`. Its text for another `beta`,
      `alpha / b (b |r| + 1) log(b |r| / beta + 1) - alpha |r|`, has a gradient that jumps at
      `beta` and is not 0 at 0; here `beta` is a unit of length, and the gradient is continuous.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the ranks differ, or a dimension is neither equal nor 1.

    Reference:
      Pang, Chen, Shi, Feng, Ouyang, Lin, "Libra R-CNN: Towards Balanced Learning for Object
      Detection", 2019, arXiv 1904.02701.

    Example:
      >>> losses = jaxloss.balanced_l1_loss(jnp.array([0.3, -1.7]))
      >>> print(np.array_str(losses, precision=4))
      [0.1858 2.1286]
    """
    check = Arguments("balanced_l1_loss")
    residual, mask = residual_of(check, predictions, targets, where)
    alpha = check.parameter("alpha", alpha, residual, above=0)
    gamma = check.parameter("gamma", gamma, residual, at_least=0)
    beta = check.parameter("beta", beta, residual, at_least=0)
    return keep(mask, elementwise(_balanced)(residual, alpha, gamma, beta))


def focal_l1_loss(
    predictions: ArrayLike,
    targets: ArrayLike | None = None,
    *,
    beta: ArrayLike,
    alpha: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Absolute error whose gradient is largest at medium residuals and small at outliers.

    Formula:
      `alpha r^2 (1 - 2 log(beta |r|)) / 4` if `|r| <= 1`, else
      `-alpha log(beta) |r| + alpha (2 log(beta) + 1) / 4`, with `r = predictions - targets`.

    Args:
      predictions: `[...]`, scaled so that residuals beyond 1 are outliers.
      targets: `[...]`, the same unit; 0 by default.
      beta: in [1/e, 1], how small the gradient of outliers is: `-alpha log(beta)`, 0 at 1.
      alpha: `> 0`, a factor; `e beta` by default, which makes the largest gradient 1. It and
        `beta` are scalars, vectors along the last axis, or of the rank of the predictions, and
        may be traced.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, inf).

    Edge cases:
      Once differentiable everywhere: the gradient is `-alpha r log(beta |r|)` up to `|r| = 1`,
      largest at `|r| = 1 / (e beta)`. A residual of 0 costs 0, with gradient 0; the second
      derivative, infinite there in the limit, is 0.

    Differences:
      This is the focal loss of residuals that the paper builds up to. Its final loss for boxes,
      Focal-EIoU, does not apply it to EIoU, as some tutorials say, but multiplies EIoU by a power
      of the IoU. Some tutorials also give `1/2 <= beta`, and leave the constant of the second
      branch out.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the ranks differ, or a dimension is neither equal nor 1.

    Reference:
      Zhang, Ren, Zhang, Jia, Wang, Tan, "Focal and Efficient IOU Loss for Accurate Bounding Box
      Regression", 2021, arXiv 2101.08158.

    Example:
      >>> losses = jaxloss.focal_l1_loss(jnp.array([0.3, -1.7]), beta=0.8)
      >>> print(np.array_str(losses, precision=4))
      [0.1886 1.126 ]
    """
    check = Arguments("focal_l1_loss")
    residual, mask = residual_of(check, predictions, targets, where)
    beta = check.parameter("beta", beta, residual, at_least=1 / math.e, at_most=1)
    if alpha is None:
        alpha = math.e * beta
    alpha = check.parameter("alpha", alpha, residual, above=0)
    return keep(mask, elementwise(_focal)(residual, alpha, beta))


@jax.custom_jvp
def _log_cosh(x: Array) -> Array:
    """log(cosh(x)), near 0 as -log(1 - tanh^2) / 2, where nothing cancels."""
    magnitude = jnp.abs(x)
    rise = -jnp.expm1(-2 * magnitude)
    near = magnitude < 1
    logarithm = jnp.log1p(-jnp.where(near, jnp.square(rise / (2 - rise)), 0.5 * rise))
    return jnp.where(near, -0.5 * logarithm, magnitude + logarithm)


@_log_cosh.defjvp
def _log_cosh_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return _log_cosh(*primals), jnp.tanh(primals[0]) * tangents[0]


def _general_robust(residual: Array, alpha: Array, scale: Array) -> Array:
    return _robust(quotient(residual, scale), alpha)


@jax.custom_jvp
def _robust(x: Array, alpha: Array) -> Array:
    near = jnp.abs(alpha - 2) < 1
    around_two = _robust_around_two(x, jnp.where(near, alpha, jnp.ones_like(alpha)))
    elsewhere = _robust_elsewhere(x, jnp.where(near, jnp.zeros_like(alpha), alpha))
    return jnp.where(near, around_two, elsewhere)


def _robust_jvp(primals: tuple[Array, Array], tangents: tuple[Any, Any]) -> tuple[Array, Array]:
    x, alpha = primals
    root = jnp.exp(0.5 * _exponent(x, alpha))
    along_x = (x * root) * root
    if isinstance(tangents[1], SymbolicZero):
        return _robust(x, alpha), along_x * tangents[0]
    value, along_alpha = jax.jvp(lambda a: _robust.fun(x, a), (alpha,), (jnp.ones_like(alpha),))
    return value, weighted((along_x, along_alpha), tangents)


_robust.defjvp(_robust_jvp, symbolic_zeros=True)


def _exponent(x: Array, alpha: Array) -> Array:
    """(alpha / 2 - 1) log(x^2 / |alpha - 2| + 1), which is 0 at `alpha = 2`."""
    distance = jnp.where(alpha == 2, jnp.ones_like(alpha), jnp.abs(alpha - 2))
    return jnp.sign(alpha - 2) * _softened_parabola(x, distance)


def _robust_around_two(x: Array, alpha: Array) -> Array:
    """Products of the parabola and powers near 1, which keep their digits up to `alpha = 2`."""
    exponent = _exponent(x, alpha)
    root = x * jnp.exp(0.5 * exponent)
    bent = root * (root / alpha) + jnp.abs(alpha - 2) * jnp.expm1(exponent) / alpha
    return jnp.where(alpha == 2, 0.5 * jnp.square(x), bent)


def _robust_elsewhere(x: Array, alpha: Array) -> Array:
    """(exp(q y) - 1) / q with `q = alpha / |alpha - 2|` and y the softened parabola."""
    infinite = jnp.isinf(alpha)
    finite = jnp.where(infinite, jnp.zeros_like(alpha), alpha)
    q = jnp.where(infinite, jnp.sign(alpha), quotient(finite, jnp.abs(finite - 2)))
    y = _softened_parabola(x, jnp.abs(alpha - 2))
    exponent = q * y
    small = jnp.abs(exponent) < 0.5
    series = y * horner(jnp.where(small, exponent, 0), EXPONENTIAL_MINUS_ONE)
    return jnp.where(small, series, jnp.expm1(exponent) / jnp.where(small, 1, q))


@jax.custom_jvp
def _softened_parabola(x: Array, b: Array) -> Array:
    """b/2 log(1 + x^2 / b), which is x^2 / 2 if b is infinite, or x small beside it."""
    near, b, folded, logarithm = _fold(x, b)
    return jnp.where(near, 0.5 * jnp.square(x), b * (logarithm + 0.5 * jnp.log1p(folded**2)))


def _softened_parabola_jvp(
    primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    x, b = primals
    near, b, folded, logarithm = _fold(x, b)
    share = folded / (1 + folded**2)
    slope = jnp.where(near, x, jnp.sqrt(b) * share)
    u = jnp.where(logarithm > 0, 1 / (1 + folded**2), folded * share)
    along_b = logarithm + 0.5 * jnp.log1p(folded**2) - 0.5 * u
    slopes = slope, jnp.where(near, 0, along_b)
    return _softened_parabola(*primals), weighted(slopes, tangents)


_softened_parabola.defjvp(_softened_parabola_jvp, symbolic_zeros=True)


def _fold(x: Array, b: Array) -> tuple[Array, Array, Array, Array]:
    """Of r = x / sqrt(b): whether it is tiny, b, r or 1/r within [-1, 1], and log|r| beyond.

    r and b are 1 where it is tiny.
    """
    r = x / jnp.sqrt(b)
    near = jnp.abs(r) < 0.5 * np.sqrt(np.finfo(x.dtype).eps)
    b = jnp.where(near, jnp.ones_like(r), b)
    r = jnp.where(near, jnp.ones_like(r), x / jnp.sqrt(b))
    far = jnp.abs(r) > 1
    beyond = jnp.where(far, r, jnp.ones_like(r))
    return near, b, jnp.where(far, 1 / beyond, r), jnp.log(jnp.abs(beyond))


def _balanced(residual: Array, alpha: Array, gamma: Array, beta: Array) -> Array:
    # The parabola around 0 has its second derivative at 0, too, so |r| has slope 1 there.
    magnitude = jnp.where(residual < 0, -residual, residual)
    inside = magnitude < beta
    inner = jnp.where(inside, magnitude, beta)
    outer = jnp.where(inside, 0, absolute(residual) - beta)
    return alpha * _logarithmic_area(inner, beta, gamma / alpha) + gamma * outer


@jax.custom_jvp
def _logarithmic_area(x: Array, width: Array, steepness: Array) -> Array:
    """The integral of log(1 + b x / width) from 0 to x <= width, with b = exp(steepness) - 1.

    Where b would overflow, a part of the steepness is left out of it and added to the logarithm
    times u / (1 + u), with u what is left of b x / width: that is 1 but for x below 1e-20 widths.
    """
    u, excess = _grown(ratio(x, width), steepness)
    logarithm = _log1p(u)
    gap, _ = _logarithmic_gap(u, logarithm)
    return x * ((logarithm - gap) + excess * gap)


def _logarithmic_area_jvp(
    primals: tuple[Array, ...], tangents: tuple[Array, ...]
) -> tuple[Array, Array]:
    x, width, steepness = primals
    part = ratio(x, width)
    u, excess = _grown(part, steepness)
    logarithm = _log1p(u)
    gap, bend = _logarithmic_gap(u, logarithm)
    share = quotient(u, 1 + u)
    slopes = (
        logarithm + excess * share,
        -part * (gap + excess * (share - gap)),
        x * (gap + jnp.where(excess > 0, 0, part * bend)),
    )
    return _logarithmic_area(x, width, steepness), weighted(slopes, tangents)


_logarithmic_area.defjvp(_logarithmic_area_jvp, symbolic_zeros=True)


def _log1p(u: Array) -> Array:
    """ln(1 + u): a TPU's own takes fewer cycles, others write what is not arithmetic."""
    return jnp.log1p(u) if for_tpu() else logarithm_of_one_plus(u)


def _grown(part: Array, steepness: Array) -> tuple[Array, Array]:
    """(exp(steepness) - 1) part, without that of the steepness which is returned beside it."""
    most = 0.7 * math.log(np.finfo(part.dtype).max)
    steep = steepness > most
    held = jnp.where(steep, jnp.full_like(steepness, most), steepness)
    return jnp.expm1(held) * part, jnp.where(steep, steepness - most, 0)


def _logarithmic_gap(u: Array, logarithm: Array) -> tuple[Array, Array]:
    """1 - log(1 + u) / u, and that over u: near 0 by the area tangent of s = u / (2 + u)."""
    near = u < 1
    small, large = jnp.where(near, u, 0), jnp.where(near, 1, u)
    s = small / (2 + small)
    bend = 0.5 * (1 - s) * (1 - s * (1 - s) * horner(jnp.square(s), AREA_TANGENT_REST))
    gap = 1 - quotient(logarithm, large)
    return jnp.where(near, small * bend, gap), jnp.where(near, bend, quotient(gap, large))


def _focal(residual: Array, alpha: Array, beta: Array) -> Array:
    magnitude = absolute(residual)
    inside = magnitude <= 1
    inner = jnp.where(inside, magnitude, jnp.ones_like(magnitude))
    outer = jnp.where(inside, 0, magnitude - 1)
    return alpha * (_logarithmic_parabola(inner, beta) - jnp.log(beta) * outer)


@jax.custom_jvp
def _logarithmic_parabola(x: Array, beta: Array) -> Array:
    """x^2 (1 - 2 log(beta x)) / 4 for x in [0, 1]."""
    logarithm = jnp.log(beta) + jnp.log(jnp.where(x == 0, 1, x))
    return 0.25 * jnp.square(x) * (1 - 2 * logarithm)


def _logarithmic_parabola_jvp(
    primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    x, beta = primals
    logarithm = jnp.log(beta) + jnp.log(jnp.where(x == 0, 1, x))
    slopes = -x * logarithm, -0.5 * jnp.square(x) / beta
    return _logarithmic_parabola(x, beta), weighted(slopes, tangents)


_logarithmic_parabola.defjvp(_logarithmic_parabola_jvp, symbolic_zeros=True)
