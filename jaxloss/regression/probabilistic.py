"""Losses of predictions that stand for a distribution: its quantile, its mean and variance."""

import math

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, broadcast_shape, hide, keep
from jaxloss._numerics import quotient
from jaxloss.regression._residual import residual_of


def quantile_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    quantile: ArrayLike,
    where: ArrayLike | None = None,
) -> Array:
    """Absolute error tilted so that its mean is least at a quantile of the targets (pinball loss).

    Formula:
      `max(quantile r, (quantile - 1) r)` with `r = targets - predictions`.

    Args:
      predictions: `[...]`, of the quantile.
      targets: `[...]`, the same unit.
      quantile: in [0, 1], the share of the targets that should lie below the prediction: a
        scalar, a vector along the last axis (several quantiles at once, of targets `[..., 1]`), or
        of the rank of the predictions. May be traced.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, inf), in the unit of the predictions.

    Edge cases:
      The gradient is `-quantile` where the prediction is too low, `1 - quantile` where it is too
      high, and 0 at `r = 0`, which lies between them.

    Differences:
      Half the absolute error at `quantile = 0.5`. The residual is targets minus predictions, as
      in statistics; with the opposite sign the same number would stand for the other tail.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the ranks differ, or a dimension is neither equal nor 1.

    Reference:
      Koenker, Bassett, "Regression Quantiles", 1978.

    Example:
      >>> losses = jaxloss.quantile_loss(jnp.zeros(2), jnp.array([0.3, -1.7]), quantile=0.9)
      >>> print(np.array_str(losses, precision=4))
      [0.27 0.17]
    """
    check = Arguments("quantile_loss")
    residual, mask = residual_of(check, predictions, targets, where)
    quantile = check.parameter("quantile", quantile, residual, at_least=0, at_most=1)
    # The sign is 0 where the residual is, and NaN where that is.
    too_high = jnp.where(residual > 0, 1 - quantile, jnp.sign(residual))
    return keep(mask, residual * jnp.where(residual < 0, -quantile, too_high))


def gaussian_nll_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    variance: ArrayLike,
    *,
    epsilon: ArrayLike = 1e-6,
    full: bool = False,
    where: ArrayLike | None = None,
) -> Array:
    """Negative log-likelihood of the targets under normal distributions.

    Formula:
      `0.5 (log(v) + r^2 / v)` with `r = predictions - targets` and `v = max(variance, epsilon)`;
      `full` adds the constant `0.5 log(2 pi)`.

    Args:
      predictions: `[...]`, means.
      targets: `[...]`, the same unit.
      variance: `[...]`, `>= 0`, in the squared unit; a dimension of 1 shares it, as in `[..., 1]`.
      epsilon: `>= 0`, a scalar, the least variance. May be traced.
      full: a static bool, whether the constant is added, so that the loss is the likelihood's.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in (-inf, inf), in nats; below 0 where the density exceeds 1.

    Edge cases:
      The floor `epsilon` is not differentiated: the gradient with respect to a variance below it
      is the one at the floor, so that it is not stuck there. A negative variance gives NaN, in
      value and in gradient. With `epsilon = 0` a variance of 0 gives -inf, or NaN.

    Differences:
      torch's `gaussian_nll_loss`, with `reduction="none"`: its `eps` is `epsilon`. It raises an
      error for a negative variance, after looking at the values, and takes a variance without the
      last axis; here that needs `variance[..., None]`.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the ranks differ, or a dimension is neither equal nor 1.

    Reference:
      Nix, Weigend, "Estimating the Mean and Variance of the Target Probability Distribution",
      1994.

    Example:
      >>> means, variance = jnp.array([0.3, -1.7]), jnp.array([0.5, 2.0])
      >>> losses = jaxloss.gaussian_nll_loss(means, jnp.zeros(2), variance)
      >>> print(np.array_str(losses, precision=4))
      [-0.2566  1.0691]
    """
    check = Arguments("gaussian_nll_loss")
    x, y, v = check.pair(predictions=predictions, targets=targets, variance=variance)
    mask = check.where(where, broadcast_shape(x, y, v))
    x, y = hide(mask, x, y)
    least = check.scalar("epsilon", epsilon, x, at_least=0)
    v = _at_least(v if mask is None else jnp.where(mask, v, 1), least)
    residual = x - y
    losses = 0.5 * (jnp.log(v) + residual * quotient(residual, v))
    constant = 0.5 * math.log(2 * math.pi) if check.switch("full", full) else 0.0
    return keep(mask, losses + constant)


@jax.custom_jvp
def _at_least(variance: Array, floor: Array) -> Array:
    """max(variance, floor), and NaN where the variance is negative; the floor has no derivative."""
    return jnp.where(variance < 0, jnp.nan, jnp.maximum(variance, floor))


@_at_least.defjvp
def _at_least_jvp(
    primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    value = _at_least(*primals)
    return value, jnp.broadcast_to(tangents[0], value.shape)
