"""Transforms of the overlap, and weights by it."""

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, Like
from jaxloss._derivatives import elementwise
from jaxloss._exponential import saturating
from jaxloss._logarithm import logarithm, logarithm_of_one_plus
from jaxloss._numerics import ratio, scaled_ratio, select
from jaxloss.boxes._pairs import pair_of, shared_fraction


def powered(gap: ArrayLike, iou: ArrayLike, *, alpha: ArrayLike) -> Array:
    """Alpha-IoU's transform: the gap between 1 and a power of the overlap.

    Formula:
      `1 - IoU^alpha`, of `1 - IoU` where that is the smaller one, else of `IoU`.

    Args:
      gap: `[...]` in [0, 1], `1 - IoU` with its own digits: `jaxloss.iou_loss` or
        `jaxloss.inner_iou_loss`.
      iou: `[...]` in [0, 1], `IoU` with its own digits: `jaxloss.boxes.iou` or
        `jaxloss.boxes.inner_iou`; dimensions equal to those of `gap` or 1.
      alpha: `> 0`: a scalar, a vector along the last axis of the result, or of its rank. May be
        traced.

    Returns:
      `[...]` in [0, 1], in float32 at least.

    Edge cases:
      1 with derivative 0 where `iou` is 0, although for `alpha < 1` the derivative grows without
      bound there. 0 where `gap` is 0, with the derivative `alpha`.

    Differences:
      The authors' code adds 1e-9 to the overlap before raising it, and powers of `1 - gap` have no
      digits left where boxes hardly overlap.

    Raises:
      TypeError: an argument is a list, or `gap` is not floating point.
      ValueError: the ranks differ, dimensions are neither equal nor 1, or `alpha` does not fit the
        result.

    Reference:
      He, Erfani, Ma, Bailey, Chi, Hua, "Alpha-IoU: A Family of Power Intersection over Union Losses
      for Bounding Box Regression", 2021, arXiv 2110.13675.

    Example:
      >>> print(jaxloss.boxes.terms.powered(jnp.array([0.0, 0.5, 1.0]), jnp.array([1.0, 0.5, 0.0]),
      ...     alpha=3.0))
      [0.    0.875 1.   ]
    """
    check = Arguments("powered")
    first, second = jnp.broadcast_arrays(*check.pair(gap=gap, iou=iou))
    return power_gap(first, second, check.parameter("alpha", alpha, first, above=0))


@elementwise
def power_gap(gap: Array, iou: Array, alpha: Array) -> Array:
    """1 - IoU^alpha.

    It has a rule of its own: of slivers its slope is so steep that it would overflow on the way to
    the edges of boxes, unless it meets the overlap's small slopes first.
    """
    apart = iou <= 0
    log = _negative_log(gap, select(apart, 1.0, iou))
    return select(apart, 1.0, saturating(select(apart, 1.0, alpha * log)))


@jax.custom_jvp
def _negative_log(gap: Array, iou: Array) -> Array:
    """-ln IoU of whichever of 1 - IoU and IoU is the smaller one."""
    close = gap < iou
    near, far = select(close, gap, 0.0), select(close, 1.0, iou)
    return select(close, -logarithm_of_one_plus(-near), -logarithm(far))


@_negative_log.defjvp
def _negative_log_jvp(
    primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    (gap, iou), (dgap, diou) = primals, tangents
    slope = select(gap < iou, dgap, -diou)
    return _negative_log(gap, iou), scaled_ratio(slope, select(gap < iou, 1 - gap, iou))


def powered_penalty(penalty: ArrayLike, *, alpha: ArrayLike) -> Array:
    """Alpha-IoU's power of a penalty, differentiable where there is none.

    Formula:
      `penalty^alpha`, and 0 where the penalty is 0.

    Args:
      penalty: `[...]`, `>= 0`: what the other pieces return.
      alpha: `> 0`: a scalar, a vector along the last axis of the result, or of its rank. May be
        traced.

    Returns:
      `[...]` in [0, inf), in float32 at least.

    Edge cases:
      0 with all derivatives 0 where the penalty is 0 or less, whatever the power: that of `**` is
      infinite there for `alpha < 1`, its second one for `alpha < 2`, and NaN in a composition.

    Differences:
      The authors' code adds 1e-9 to the penalty before raising it.

    Raises:
      TypeError: an argument is a list, or `penalty` is not floating point.
      ValueError: `alpha` does not fit the result.

    Reference:
      He, Erfani, Ma, Bailey, Chi, Hua, "Alpha-IoU: A Family of Power Intersection over Union Losses
      for Bounding Box Regression", 2021, arXiv 2110.13675.

    Example:
      >>> penalty = jnp.array([0.0, 0.25, 1.0])
      >>> print(jaxloss.boxes.terms.powered_penalty(penalty, alpha=0.5))
      [0.  0.5 1. ]
    """
    check = Arguments("powered_penalty")
    (array,) = check.floats(penalty=penalty)
    return power(array, check.parameter("alpha", alpha, array, above=0))


@elementwise
def power(penalty: Array, alpha: Array) -> Array:
    """penalty^alpha, and 0 with derivative 0 where the penalty is 0 or less."""
    none = penalty <= 0
    return select(none, 0.0, jnp.exp(alpha * _log(select(none, 1.0, penalty))))


@jax.custom_jvp
def _log(x: Array) -> Array:
    """ln x, whose slope meets what it is multiplied by before it can overflow."""
    return logarithm(x)


@_log.defjvp
def _log_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return _log(*primals), scaled_ratio(tangents[0], primals[0])


def rectified(
    gap: ArrayLike,
    *,
    beta: ArrayLike = 0.95,
    a: ArrayLike = 0.1,
    b: ArrayLike = 1.05,
    c: ArrayLike = 0.2,
) -> Array:
    """Rectified IoU's transform: gradients grow up to an overlap of beta, and then fall to 0.

    Formula:
      The integral of `g` from `IoU` to 1, where `g(u) = c + a / (b - u)` up to `beta`, a branch of
      a hyperbola, and `g(u) = k (1 - u)` beyond, with `k` such that `g` is continuous. That is
      `k (1 - IoU)^2 / 2` beyond `beta`, and
      `k (1 - beta)^2 / 2 + c (beta - IoU) + a ln((b - IoU) / (b - beta))` up to it.

    Args:
      gap: `[...]` in [0, 1], `1 - IoU`: `jaxloss.iou_loss` or `jaxloss.inner_iou_loss`.
      beta: in (0, 1), the overlap with the largest gradient: a scalar, a vector along the last axis
        of the result, or of its rank. May be traced, as the others.
      a: `>= 0`, how sharply the gradient grows.
      b: `> beta`, the overlap at which the hyperbola would be infinite.
      c: `>= 0`, the gradient where the hyperbola is flat.

    Returns:
      `[...]` in [0, inf), in float32 at least; 0.4551 at `gap` 1 by default.

    Edge cases:
      0 with derivative 0 where `gap` is 0. Value and derivative are continuous at `beta`; at `gap`
      1, as of boxes that do not overlap, the derivative is `c + a / b`, not 0.

    Differences:
      The paper's constants and the exact form of its hyperbola could not be confirmed, and no
      implementation is known: `beta`, the growth up to it, the fall to 0 and the integral are the
      paper's; the defaults of `a`, `b` and `c` are examples of ours.

    Raises:
      TypeError: an argument is a list, or `gap` is not floating point.
      ValueError: a hyperparameter does not fit the result.

    Reference:
      Wang, Zhang, "Single-Shot Two-Pronged Detector with Rectified IoU Loss", 2020,
      arXiv 2008.03511.

    Example:
      >>> print(np.round(jaxloss.boxes.terms.rectified(jnp.array([0.0, 0.03, 0.7, 1.0])), 4))
      [0.     0.0108 0.3615 0.4551]
    """
    check = Arguments("rectified")
    (array,) = check.floats(gap=gap)
    return elementwise(rectify)(array, *rectification(check, array, beta, a, b, c))


def rectification(
    check: Arguments, like: Like, beta: ArrayLike, a: ArrayLike, b: ArrayLike, c: ArrayLike
) -> tuple[Array, ...]:
    """The parameters of `rectify` for gaps like `like`."""
    return (
        check.parameter("beta", beta, like, above=0, below=1),
        check.parameter("a", a, like, at_least=0),
        check.parameter("b", b, like, above=beta, hint="the pole lies above `beta`"),
        check.parameter("c", c, like, at_least=0),
    )


def rectify(gap: Array, beta: Array, a: Array, b: Array, c: Array) -> Array:
    """The integral of the gradient over the gap: what is within 1 - beta, and what is beyond."""
    rest, pole = 1 - beta, b - beta
    k = ratio(c + ratio(a, pole), rest)
    beyond = select(gap <= rest, 0.0, gap - rest)
    within = select(gap <= rest, gap, rest)
    logarithm = logarithm_of_one_plus(scaled_ratio(beyond, pole))
    return 0.5 * k * jnp.square(within) + c * beyond + a * logarithm


def interval(gap: ArrayLike, *, lower: ArrayLike = 0.0, upper: ArrayLike = 0.95) -> Array:
    """Focaler-IoU's transform: the gap of an overlap stretched from an interval to [0, 1].

    Formula:
      `1 - clip((IoU - lower) / (upper - lower), 0, 1)`.

    Args:
      gap: `[...]` in [0, 1], `1 - IoU`: `jaxloss.iou_loss` or `jaxloss.inner_iou_loss`.
      lower: the overlap up to which the result is 1: a scalar, a vector along the last axis of the
        result, or of its rank. May be traced, as the other.
      upper: `> lower`, the overlap from which on it is 0.

    Returns:
      `[...]` in [0, 1], in float32 at least.

    Edge cases:
      The derivative is 0 outside the interval and at both of its ends.

    Differences:
      None known: the authors' code is this formula.

    Raises:
      TypeError: an argument is a list, or `gap` is not floating point.
      ValueError: `lower` or `upper` does not fit the result.

    Reference:
      Zhang, Zhang, "Focaler-IoU: More Focused Intersection over Union Loss", 2024,
      arXiv 2401.10525.

    Example:
      >>> print(np.round(jaxloss.boxes.terms.interval(jnp.array([0.02, 0.525, 1.0])), 4))
      [0.  0.5 1. ]
    """
    check = Arguments("interval")
    (array,) = check.floats(gap=gap)
    return stretch(array, *limits(check, array, lower, upper))


def limits(check: Arguments, like: Like, lower: ArrayLike, upper: ArrayLike) -> tuple[Array, Array]:
    """The parameters of `stretch` for gaps like `like`."""
    return (
        check.parameter("lower", lower, like),
        check.parameter("upper", upper, like, above=lower, hint="it lies above `lower`"),
    )


def stretch(gap: Array, lower: Array, upper: Array) -> Array:
    """1 - clip((IoU - lower) / (upper - lower), 0, 1), with derivative 0 at both ends."""
    value, one = ratio(gap - (1 - upper), upper - lower), jnp.ones_like(gap)
    return select(value <= 0, 0 * one, select(value >= 1, one, value))


def focal_weight(predictions: ArrayLike, targets: ArrayLike, *, gamma: ArrayLike = 0.5) -> Array:
    """Focal-EIoU's weight: a power of the overlap, constant under differentiation by the boxes.

    Formula:
      `IoU^gamma`.

    Args:
      predictions: `[..., 4]` as x1, y1, x2, y2, in any unit.
      targets: `[..., 4]`, the same unit; dimensions equal to those of the predictions or 1.
      gamma: `>= 0`: a scalar, a vector along the last axis of the result, or of its rank. May be
        traced.

    Returns:
      `[...]` in [0, 1], in float32 at least.

    Edge cases:
      The gradient by the boxes is 0 everywhere; that by `gamma` is not, but for an overlap of 0.
      1 at `gamma` 0, and else 0 for boxes that do not overlap.

    Differences:
      As the `normalizer` of `jaxloss.mean` it makes the paper's normalised form:
      `jaxloss.mean(jaxloss.focal_eiou_loss(p, t), normalizer=focal_weight(p, t))`.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the last axis is not of 4, the ranks differ, dimensions are neither equal nor 1,
        or `gamma` does not fit the result.

    Reference:
      Zhang, Ren, Zhang, Jia, Wang, Tan, "Focal and Efficient IOU Loss for Accurate Bounding Box
      Regression", 2021, arXiv 2101.08158.

    Example:
      >>> p, t = jnp.array([1.0, 2.0, 5.0, 7.0]), jnp.array([2.0, 3.0, 7.0, 6.0])
      >>> print(np.round(jaxloss.boxes.terms.focal_weight(p, t), 4))
      0.5883
    """
    check = Arguments("focal_weight")
    iou = lax.stop_gradient(shared_fraction(*pair_of(check, predictions, targets)))
    return constant_power(iou, check.parameter("gamma", gamma, iou, at_least=0))


def constant_power(base: Array, exponent: Array) -> Array:
    """base^exponent of a base that is 0 or more and not differentiated."""
    return jnp.power(lax.stop_gradient(base), exponent)
