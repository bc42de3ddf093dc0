"""Losses of dense detectors: logits against qualities, distances and heat maps."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, hide, keep, result_like
from jaxloss._derivatives import elementwise
from jaxloss._logistic import known_number, logistic, logistic_cost, logistic_focus, logit, power
from jaxloss._numerics import absolute, relu
from jaxloss._softmax import distribution_cost
from jaxloss.classification._rows import blank, cooled, rows_of


def quality_focal_loss(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    beta: ArrayLike = 2.0,
    where: ArrayLike | None = None,
) -> Array:
    """Binary cross-entropy with a quality, scaled down where the probability is already close.

    Formula:
      `-|y - p|^beta (y log(p) + (1 - y) log(1 - p))` with `p = sigmoid(logits)` and `y` the
      targets.

    Args:
      logits: `[...]`, log-odds of the class.
      targets: `[...]` in [0, 1], the quality: the IoU of a positive with its object at the
        object's class, 0 elsewhere.
      beta: `>= 0`; 0 is cross-entropy. A Python number that is a multiple of 1/2 is computed by
        products and square roots; any other number and any array, which may be traced and
        differentiated, by a logarithm. A scalar, a vector along the last axis (the classes), or of
        the rank of the logits.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, inf), in nats; exactly 0 at `p = y` for `beta > 0`. For targets of 0 and 1 the
      relative precision is the same for a loss of 1e-30 as for 1.

    Edge cases:
      The factor `|y - p|^beta` is differentiated, not held constant. It has a kink at `p = y` for
      `beta <= 1`; the derivative returned there is 0, and so is the second one unless `beta` is a
      whole Python number. Value and derivatives are finite for every finite logit and every
      `beta >= 0`; an infinite logit gives NaN. A target outside [0, 1] is put into the formula as
      it is. Targets are differentiable.

    Differences:
      The authors' code has no `| |`, which is the same for `beta = 2` alone. mmdet's function
      takes a class index and a score for each row instead of dense targets.

    Raises:
      TypeError: an argument is a list, or `logits` are not floating point.
      ValueError: the ranks differ, or a dimension is neither equal nor 1.

    Reference:
      Li, Wang, Wu, Chen, Hu, Li, Tang, Yang, "Generalized Focal Loss: Learning Qualified and
      Distributed Bounding Boxes for Dense Object Detection", 2020, arXiv 2006.04388.

    Example:
      >>> logits, targets = jnp.array([0.4, -1.0]), jnp.array([0.7, 0.0])
      >>> losses = jaxloss.quality_focal_loss(logits, targets)
      >>> print(np.array_str(losses, precision=4))
      [0.0065 0.0227]
    """
    check = Arguments("quality_focal_loss")
    (x, y), mask = check.masked_pair(where, logits=logits, targets=targets)
    quality_focal = elementwise(functools.partial(_quality_focal, known_number(beta)))
    exponent = check.parameter("beta", beta, result_like(x, y), at_least=0)
    return keep(mask, quality_focal(x, y, exponent))


def varifocal_loss(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    alpha: ArrayLike = 0.75,
    gamma: ArrayLike = 2.0,
    where: ArrayLike | None = None,
) -> Array:
    """Binary cross-entropy with a quality that weighs positives; negatives are scaled down.

    Formula:
      `-y (y log(p) + (1 - y) log(1 - p))` where `y != 0`, and `-alpha p^gamma log(1 - p)` where
      `y = 0`, with `p = sigmoid(logits)` and `y` the targets.

    Args:
      logits: `[...]`, log-odds of the class.
      targets: `[...]` in [0, 1], the quality: the IoU of a positive with its object at the
        object's class, 0 elsewhere.
      alpha: `>= 0`, the weight of every negative (a positive weighs `y`, never `1 - alpha`). A
        scalar, a vector along the last axis (the classes), or of the rank of the logits. May be
        traced.
      gamma: `>= 0`. A Python number that is a multiple of 1/2 is computed by products and square
        roots; any other number and any array, which may be traced and differentiated, by a
        logarithm. Shapes as for `alpha`.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, inf), in nats; least at `p = y`, where it is `y` times the entropy of `y`.
      Relative precision is the same for a loss of 1e-30 as for 1.

    Edge cases:
      Smooth in the logits: the factor `p^gamma` is differentiated, and everything is finite for
      every finite logit and every `gamma >= 0`; an infinite logit gives NaN. The loss jumps where
      a target leaves 0: the derivative by the target is 0 there. A target outside [0, 1] is put
      into the formula as it is.

    Differences:
      mmdet's and Ultralytics' agree in value and gradient; they return the mean, or a sum over
      classes of means.

    Raises:
      TypeError: an argument is a list, or `logits` are not floating point.
      ValueError: the ranks differ, or a dimension is neither equal nor 1.

    Reference:
      Zhang, Wang, Dayoub, Sünderhauf, "VarifocalNet: An IoU-aware Dense Object Detector", 2020,
      arXiv 2008.13367.

    Example:
      >>> logits, targets = jnp.array([0.4, -1.0]), jnp.array([0.7, 0.0])
      >>> losses = jaxloss.varifocal_loss(logits, targets)
      >>> print(np.array_str(losses, precision=4))
      [0.4431 0.017 ]
    """
    check = Arguments("varifocal_loss")
    (x, y), mask = check.masked_pair(where, logits=logits, targets=targets)
    like = result_like(x, y)
    alpha = check.parameter("alpha", alpha, like, at_least=0)
    exponent = check.parameter("gamma", gamma, like, at_least=0)
    varifocal = elementwise(functools.partial(_varifocal, known_number(gamma)))
    return keep(mask, varifocal(x, y, alpha, exponent))


def gaussian_focal_loss(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    alpha: ArrayLike = 2.0,
    gamma: ArrayLike = 4.0,
    where: ArrayLike | None = None,
) -> Array:
    """Focal loss of a heat map whose peaks, of exactly 1, are the positives.

    Formula:
      `-(1 - p)^alpha log(p)` where `y = 1`, and `-(1 - y)^gamma p^alpha log(1 - p)` elsewhere,
      with `p = sigmoid(logits)` and `y` the targets.

    Args:
      logits: `[...]`, log-odds of a peak: not probabilities, which lose the digits of a confident
        answer.
      targets: `[...]` in [0, 1], 1 at the centre of each object and a Gaussian around it.
      alpha: `>= 0`, the exponent of the probability of being wrong. A Python number that is a
        multiple of 1/2 is computed by products and square roots; any other number and any array,
        which may be traced and differentiated, by a logarithm. A scalar, a vector along the last
        axis (the classes), or of the rank of the logits.
      gamma: `>= 0`, the exponent that spares the surroundings of a peak; as `alpha`.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, inf), in nats, to be divided by the number of peaks. Relative precision is the
      same for a loss of 1e-30 as for 1.

    Edge cases:
      Smooth in the logits: both factors are differentiated, and everything is finite for every
      finite logit and all exponents `>= 0`; an infinite logit gives NaN. The loss jumps where a
      target reaches 1: the derivative by the target is 0 there. A target outside [0, 1] gives NaN
      in value and in gradient. In bfloat16 a target above 0.998 is 1, and so a peak.

    Differences:
      mmdet's and CenterNet's take probabilities and add 1e-12 inside the logarithm, or clamp
      them; elsewhere they agree.

    Raises:
      TypeError: an argument is a list, or `logits` are not floating point.
      ValueError: the ranks differ, or a dimension is neither equal nor 1.

    Reference:
      Law, Deng, "CornerNet: Detecting Objects as Paired Keypoints", 2018, arXiv 1808.01244; Zhou,
      Wang, Krähenbühl, "Objects as Points", 2019, arXiv 1904.07850.

    Example:
      >>> logits, targets = jnp.array([0.4, -1.0, -1.0]), jnp.array([1.0, 0.6, 0.0])
      >>> losses = jaxloss.gaussian_focal_loss(logits, targets)
      >>> print(np.array_str(losses, precision=4))
      [0.0826 0.0006 0.0227]
    """
    check = Arguments("gaussian_focal_loss")
    (x, y), mask = check.masked_pair(where, logits=logits, targets=targets)
    y = jnp.where((y >= 0) & (y <= 1), y, jnp.nan)
    like = result_like(x, y)
    exponents = (
        check.parameter("alpha", alpha, like, at_least=0),
        check.parameter("gamma", gamma, like, at_least=0),
    )
    known = known_number(alpha), known_number(gamma)
    return keep(mask, elementwise(functools.partial(_gaussian_focal, *known))(x, y, *exponents))


def distribution_focal_loss(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    temperature: ArrayLike = 1.0,
    where: ArrayLike | None = None,
) -> Array:
    """Cross-entropy of a softmax over bins with the two bins next to a number.

    Formula:
      `-sum_i max(0, 1 - |i - y|) log(p_i)` with `p = softmax(logits / temperature)`, `i` the bins 0
      to `N - 1` and `y` the target: `-(j + 1 - y) log(p_j) - (y - j) log(p_{j + 1})` with
      `j = floor(y)`.

    Args:
      logits: `[..., N]`, unnormalised log-probabilities of the bins.
      targets: `[...]` in [0, N - 1], in bins: the logits' shape without the last axis.
      temperature: `> 0`, a scalar that divides the logits. May be traced.
      where: boolean, of the result's shape: False makes the loss exactly 0; or of the rank of the
        logits: False removes a bin from its row, with its share of the target.

    Returns:
      `[...]`, the targets' shape, in [0, inf) and nats; least, the entropy of the two shares, not
      0, between two bins. Of a box, take the mean over its four sides.

    Edge cases:
      Smooth in the logits, and finite with its derivatives for every finite one. The last bin is
      reached: `y = N - 1` needs no bin beyond it. Piecewise linear in the targets, with derivative
      0 at whole numbers, the kinks. A target outside [0, N - 1] gives NaN in value and in
      gradient.

    Differences:
      mmdet's and Ultralytics' agree below `N - 1`; theirs read beyond the last bin at `y = N - 1`,
      so that callers clamp targets to `N - 1.01`.

    Raises:
      TypeError: an argument is a list, or `logits` are not floating point.
      ValueError: `targets` have another shape than the logits without the last axis, or `where`
        has neither shape.

    Reference:
      Li, Wang, Wu, Chen, Hu, Li, Tang, Yang, "Generalized Focal Loss: Learning Qualified and
      Distributed Bounding Boxes for Dense Object Detection", 2020, arXiv 2006.04388.

    Example:
      >>> logits, targets = jnp.array([[0.1, 0.5, -0.2, 0.3, 0.0]] * 2), jnp.array([2.3, 4.0])
      >>> losses = jaxloss.distribution_focal_loss(logits, targets)
      >>> print(np.array_str(losses, precision=4))
      [1.8288 1.7788]
    """
    check = Arguments("distribution_focal_loss")
    x, y = check.floats(logits=logits, targets=targets)
    check.shape("logits", x, (..., None), "bins on the last axis")
    check.shape("targets", y, x.shape[:-1], "one number a row of bins")
    x = cooled(check, x, temperature)
    rows = rows_of(check, x, (x.ndim - 1,), where)
    (y,) = hide(rows.mask, y)
    y = jnp.where((y >= 0) & (y <= x.shape[-1] - 1), y, jnp.nan)
    # Sharded like the logits, so that the shares are, and their derivative needs no gather.
    bins = jnp.zeros_like(x) + lax.broadcasted_iota(x.dtype, (*[1] * y.ndim, x.shape[-1]), y.ndim)
    shares = relu(1 - absolute(bins - jnp.expand_dims(y, -1)))
    if rows.kept is not None:
        shares = blank(rows, shares, 0)
        return keep(rows.mask, distribution_cost(rows.x, shares, rows.axis))
    cost = distribution_cost(rows.x, lax.stop_gradient(shares), rows.axis)
    return keep(rows.mask, _of_moving_shares(cost, shares, rows.x))


@jax.custom_jvp
def _of_moving_shares(cost: Array, shares: Array, x: Array) -> Array:
    """The cost, with its derivatives along shares of the last axis that always add up to 1.

    They are differences of logits: all else that the bins cost cancels, and would leave its
    rounding.
    """
    return cost


def _of_moving_shares_jvp(
    primals: tuple[Array, Array, Array], tangents: tuple[Any, Any, Any]
) -> tuple[Array, Array]:
    (cost, shares, x), (along_x, change, _) = primals, tangents
    slope = jnp.zeros_like(cost) if isinstance(along_x, SymbolicZero) else along_x
    if not isinstance(change, SymbolicZero):
        slope -= jnp.sum(change * jnp.where(shares > 0, x, 0), -1)
    return _of_moving_shares(*primals), slope


_of_moving_shares.defjvp(_of_moving_shares_jvp, symbolic_zeros=True)


def _quality_focal(known: float | None, x: Array, y: Array, beta: Array) -> Array:
    p, n = logistic(logit(x))
    gap = y * n - (1 - y) * p
    # An even power needs no absolute value, whose second derivative is 0 at 0.
    distance = gap if known is not None and known % 2 == 0 else absolute(gap)
    return power(distance, beta, known) * logistic_cost(logit(x), y, 1 - y)


def _varifocal(known: float | None, x: Array, y: Array, alpha: Array, gamma: Array) -> Array:
    negative, zero = y == 0, jnp.zeros_like(y)
    # A negative's target is a constant: the loss jumps there.
    y = jnp.where(negative, zero, y)
    weight = jnp.where(negative, alpha * logistic_focus(logit(x), None, gamma, known), y)
    return weight * logistic_cost(logit(x), y, 1 - y)


def _gaussian_focal(
    known_alpha: float | None,
    known_gamma: float | None,
    x: Array,
    y: Array,
    alpha: Array,
    gamma: Array,
) -> Array:
    one = jnp.ones_like(y)
    # A peak's target is a constant: the loss jumps there.
    spared = power(jnp.where(y == 1, one, 1 - y), gamma, known_gamma)
    peak = jnp.where(y == 1, one, jnp.zeros_like(y))
    focus = logistic_focus(logit(x), peak, alpha, known_alpha)
    return spared * focus * logistic_cost(logit(x), peak, 1 - peak)
