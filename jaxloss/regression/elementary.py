"""The square, the absolute value, and what lies between them."""

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, keep
from jaxloss._derivatives import settled_in_line, weighted
from jaxloss._numerics import absolute, ratio
from jaxloss.regression._residual import residual_of


def squared_error(
    predictions: ArrayLike, targets: ArrayLike | None = None, *, where: ArrayLike | None = None
) -> Array:
    """Squared error of every element.

    Formula:
      `r^2` with `r = predictions - targets`.

    Args:
      predictions: `[...]`.
      targets: `[...]`, the same unit; 0 by default.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, inf), in the squared unit.

    Edge cases:
      Smooth everywhere; the gradient is `2 r`. Infinite where `r^2` exceeds the dtype.

    Differences:
      None: optax's `squared_error`; torch's `mse_loss` with `reduction="none"`.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the ranks differ, or a dimension is neither equal nor 1.

    Reference:
      Gauss, "Theoria combinationis observationum erroribus minimis obnoxiae", 1823.

    Example:
      >>> print(jaxloss.squared_error(jnp.array([0.5, -2.0]), jnp.array([0.0, 1.0])))
      [0.25 9.  ]
    """
    residual, mask = residual_of(Arguments("squared_error"), predictions, targets, where)
    return keep(mask, jnp.square(residual))


def l2_loss(
    predictions: ArrayLike, targets: ArrayLike | None = None, *, where: ArrayLike | None = None
) -> Array:
    """Half the squared error of every element, whose gradient is the residual.

    Formula:
      `0.5 r^2` with `r = predictions - targets`.

    Args:
      predictions: `[...]`.
      targets: `[...]`, the same unit; 0 by default.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, inf), in the squared unit.

    Edge cases:
      Smooth everywhere; the gradient is `r`. Infinite where `r^2` exceeds the dtype.

    Differences:
      Half of torch's `mse_loss`; optax's `l2_loss`. Not the Euclidean norm, which some tutorials
      call by this name.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the ranks differ, or a dimension is neither equal nor 1.

    Reference:
      Bishop, "Pattern Recognition and Machine Learning", 2006.

    Example:
      >>> print(jaxloss.l2_loss(jnp.array([0.5, -2.0]), jnp.array([0.0, 1.0])))
      [0.125 4.5  ]
    """
    residual, mask = residual_of(Arguments("l2_loss"), predictions, targets, where)
    return keep(mask, 0.5 * jnp.square(residual))


def absolute_error(
    predictions: ArrayLike, targets: ArrayLike | None = None, *, where: ArrayLike | None = None
) -> Array:
    """Absolute error of every element (L1).

    Formula:
      `|r|` with `r = predictions - targets`.

    Args:
      predictions: `[...]`.
      targets: `[...]`, the same unit; 0 by default.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, inf), in the unit of the predictions.

    Edge cases:
      The derivative at `r = 0` is 0, the middle of its kink.

    Differences:
      `jnp.abs` has derivative 1 at 0, which pushes an exact prediction away; torch's `l1_loss`
      has 0, as here.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the ranks differ, or a dimension is neither equal nor 1.

    Reference:
      Laplace, "Mémoire sur la probabilité des causes par les évènemens", 1774.

    Example:
      >>> print(jaxloss.absolute_error(jnp.array([0.5, -2.0]), jnp.array([0.0, 1.0])))
      [0.5 3. ]
    """
    residual, mask = residual_of(Arguments("absolute_error"), predictions, targets, where)
    return keep(mask, _absolute(residual))


def huber_loss(
    predictions: ArrayLike,
    targets: ArrayLike | None = None,
    delta: ArrayLike = 1.0,
    *,
    where: ArrayLike | None = None,
) -> Array:
    """Huber loss: half the squared error up to `delta`, linear with slope `delta` beyond.

    Formula:
      `0.5 r^2` if `|r| <= delta`, else `delta (|r| - 0.5 delta)`, with `r = predictions - targets`.

    Args:
      predictions: `[...]`.
      targets: `[...]`, the same unit; 0 by default.
      delta: `>= 0`, in the unit of the predictions: a scalar, a vector along the last axis, or of
        the rank of the predictions. May be traced.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, inf), in the squared unit.

    Edge cases:
      Once differentiable everywhere; the second derivative at `|r| = delta` lies between the two
      sides'. With `delta = 0` the loss is 0.

    Differences:
      `delta` times `smooth_l1_loss` with `beta = delta`: the two agree only at 1. torch's
      `huber_loss` and optax's agree with this one.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the ranks differ, or a dimension is neither equal nor 1.

    Reference:
      Huber, "Robust Estimation of a Location Parameter", 1964.

    Example:
      >>> print(jaxloss.huber_loss(jnp.array([0.3, 1.7]), delta=0.5))
      [0.045 0.725]
    """
    check = Arguments("huber_loss")
    residual, mask = residual_of(check, predictions, targets, where)
    delta = check.parameter("delta", delta, residual, at_least=0)
    return keep(mask, _huber(residual, delta))


def smooth_l1_loss(
    predictions: ArrayLike,
    targets: ArrayLike | None = None,
    beta: ArrayLike = 1.0,
    *,
    where: ArrayLike | None = None,
) -> Array:
    """Smooth L1 loss: the absolute error, rounded to a parabola within `beta`.

    Formula:
      `0.5 r^2 / beta` if `|r| < beta`, else `|r| - 0.5 beta`, with `r = predictions - targets`.

    Args:
      predictions: `[...]`.
      targets: `[...]`, the same unit; 0 by default.
      beta: `>= 0`, in the unit of the predictions: a scalar, a vector along the last axis, or of
        the rank of the predictions. May be traced.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, inf), in the unit of the predictions.

    Edge cases:
      Once differentiable everywhere; the second derivative at `|r| = beta` lies between the two
      sides'. With `beta = 0` it is the absolute error, with derivative 0 at `r = 0`.

    Differences:
      `huber_loss` divided by `beta`. torch and torchvision agree; fvcore switches to L1 below
      `beta = 1e-5`. Usual values: 1 (SSD, Fast R-CNN), 1/9 (torchvision's R-CNN heads).

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the ranks differ, or a dimension is neither equal nor 1.

    Reference:
      Girshick, "Fast R-CNN", 2015, arXiv 1504.08083.

    Example:
      >>> print(jaxloss.smooth_l1_loss(jnp.array([0.05, 1.7]), beta=0.2))
      [0.00625 1.6    ]
    """
    check = Arguments("smooth_l1_loss")
    residual, mask = residual_of(check, predictions, targets, where)
    beta = check.parameter("beta", beta, residual, at_least=0)
    return keep(mask, _smooth_l1(residual, beta))


@jax.custom_jvp
def _absolute(residual: Array) -> Array:
    return settled_in_line(jnp.abs(residual))


@_absolute.defjvp
def _absolute_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return _absolute(*primals), jnp.sign(primals[0]) * tangents[0]


@jax.custom_jvp
def _huber(residual: Array, delta: Array) -> Array:
    inner = _within(residual, delta)
    return settled_in_line(inner * (residual - 0.5 * inner))


def _huber_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    residual, delta = primals
    inner = _within(residual, delta)
    return _huber(*primals), weighted((inner, absolute(residual - inner)), tangents)


_huber.defjvp(_huber_jvp, symbolic_zeros=True)


@jax.custom_jvp
def _smooth_l1(residual: Array, beta: Array) -> Array:
    inner = _within(residual, beta)
    return settled_in_line(_part(residual, beta) * (residual - 0.5 * inner))


def _smooth_l1_jvp(
    primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    part = _part(*primals)
    return _smooth_l1(*primals), weighted((part, -0.5 * jnp.square(part)), tangents)


_smooth_l1.defjvp(_smooth_l1_jvp, symbolic_zeros=True)


def _part(residual: Array, beta: Array) -> Array:
    """residual / beta, limited to [-1, 1]; the sign for a beta of 0."""
    sign = lax.stop_gradient(jnp.sign(residual))
    return jnp.where(beta == 0, sign, ratio(_within(residual, beta), beta))


def _within(residual: Array, limit: Array) -> Array:
    """`residual`, limited to [-limit, limit]; the derivative is 0 at the limits."""
    limit = jnp.broadcast_to(limit, residual.shape)
    return lax.clamp(-limit, residual, limit)
