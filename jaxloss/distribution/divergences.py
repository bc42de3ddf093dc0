"""How far one distribution is from another."""

import math

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments
from jaxloss._derivatives import elementwise, settled, weighted
from jaxloss._logarithm import logarithm
from jaxloss._numerics import horner, ratio
from jaxloss._reduced import Axis, reduced
from jaxloss.distribution._units import in_base

# (exp(d) - 1 - d) / d^2 for |d| <= 1, right to the last digit of float64.
EXPONENTIAL_REST = tuple(1 / math.factorial(k + 2) for k in range(17))
# By the bytes of precision: ((1 + s) log(1 + s) + (1 - s) log(1 - s)) / s^2 as a polynomial of s^2
# for |s| <= 1/2, and x log(x) as one of x - 7/4 for x from 3/2 to 2; minimax in relative error for
# float32 (3e-9 and 9e-10), else their series.
CENTRE = 1.75
CONVEXITY = {
    4: (1.0, 0.1666671864, 0.06663812528, 0.03621794085, 0.01843184648, 0.02734111878),
    8: tuple(1 / (k * (2 * k - 1)) for k in range(1, 26)),
}
HIGHER_SHARE = {
    4: (
        0.97932762847,
        1.55961576649,
        0.28571441744,
        -0.05441895417,
        0.0155426176,
        -0.00542219341,
        0.00212613971,
    ),
    8: (
        CENTRE * math.log(CENTRE),
        math.log(CENTRE) + 1,
        *(-1 / (k * (k - 1) * (-CENTRE) ** (k - 1)) for k in range(2, 20)),
    ),
}


def kl_divergence(
    log_predictions: ArrayLike,
    targets: ArrayLike,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    *,
    base: ArrayLike | None = None,
) -> Array:
    """Kullback-Leibler divergence of the targets from the predictions.

    Formula:
      `sum(t (log(t) - log_predictions))` with `t` the targets and `0 log(0) = 0`, divided by
      `log(base)`: KL(targets || predictions).

    Args:
      log_predictions: `[..., C]`, natural logarithms of the predicted probabilities.
      targets: `[..., C]` in [0, 1], the probability of each class; not made to sum to 1.
      axis: the axis or axes of the classes; None is all of them.
      where: boolean, of the result's shape: False makes the loss exactly 0; or of the rank of the
        predictions: False removes a class from its row.
      base: `> 0` and not 1, a scalar: 2 gives bits; e by default, nats. May be traced.

    Returns:
      `[...]`, the predictions without `axis`, in [0, inf) for distributions, 0 where they are
      equal.

    Edge cases:
      A class with target 0 adds 0 whatever its prediction, -inf included; one that happens and is
      predicted with -inf makes the loss infinite. The gradient is `-t` for log-predictions and
      `log(t) - log_predictions + 1` for targets, and at a target of 0, where that is infinite, 0:
      a class that is absent stays so, and the gradient through a softmax in front is the exact
      one. A negative target gives NaN.

    Differences:
      optax's function of this name has the same parameters and numbers; its gradient at a target
      of 0 is NaN, and so is its value if the prediction is -inf there. torch's `kl_div` has the
      same order of arguments, with `reduction="none"` one number a class, and its "mean" divides
      by their number; by "batchmean" it means the mean of these.

    Raises:
      TypeError: an argument is a list, or `log_predictions` are not floating point.
      ValueError: the ranks differ, a dimension is neither equal nor 1, `axis` is no axis, `base`
        is not a scalar, or `where` has neither shape.

    Reference:
      Kullback, Leibler, "On Information and Sufficiency", 1951.

    Example:
      >>> log_predictions = jnp.log(jnp.array([0.5, 0.25, 0.25]))
      >>> print(jaxloss.kl_divergence(log_predictions, jnp.array([0.0, 0.5, 0.5]), base=2))
      1.0
    """
    check = Arguments("kl_divergence")
    arrays = check.pair(log_predictions=log_predictions, targets=targets)
    rows = reduced(check, axis, where, *arrays)
    return in_base(check, base, rows.total(_divergence(*rows.arrays)))


def kl_divergence_with_log_targets(
    log_predictions: ArrayLike,
    log_targets: ArrayLike,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    *,
    base: ArrayLike | None = None,
) -> Array:
    """Kullback-Leibler divergence of targets given by their logarithms from the predictions.

    Formula:
      `sum(exp(log_targets) (log_targets - log_predictions))`, divided by `log(base)`.

    Args:
      log_predictions: `[..., C]`, natural logarithms of the predicted probabilities.
      log_targets: `[..., C]`, natural logarithms of the targets; -inf is a probability of 0.
      axis: the axis or axes of the classes; None is all of them.
      where: boolean, of the result's shape: False makes the loss exactly 0; or of the rank of the
        predictions: False removes a class from its row.
      base: `> 0` and not 1, a scalar: 2 gives bits; e by default, nats. May be traced.

    Returns:
      `[...]`, the predictions without `axis`, in [0, inf) for distributions, 0 where they are
      equal.

    Edge cases:
      A class whose target is -inf, or rounds to a probability of 0, adds 0 with gradient 0 whatever
      its prediction, -inf included; one that happens and is predicted with -inf makes the loss
      infinite. The gradient is `-t` for log-predictions and `t (log_targets - log_predictions + 1)`
      for log-targets, with `t = exp(log_targets)`.

    Differences:
      optax's function of this name has the same parameters and numbers; it gives NaN for a
      log-target of -inf. torch's `kl_div(log_target=True)` has the same order of arguments.

    Raises:
      TypeError: an argument is a list, or `log_predictions` are not floating point.
      ValueError: the ranks differ, a dimension is neither equal nor 1, `axis` is no axis, `base`
        is not a scalar, or `where` has neither shape.

    Reference:
      Kullback, Leibler, "On Information and Sufficiency", 1951.

    Example:
      >>> log_predictions = jnp.log(jnp.array([0.5, 0.25, 0.25]))
      >>> log_targets = jnp.log(jnp.array([0.0, 0.5, 0.5]))
      >>> print(jaxloss.kl_divergence_with_log_targets(log_predictions, log_targets, base=2))
      1.0
    """
    check = Arguments("kl_divergence_with_log_targets")
    arrays = check.pair(log_predictions=log_predictions, log_targets=log_targets)
    rows = reduced(check, axis, where, *arrays)
    terms = elementwise(_divergence_of_logarithms, expensive=2)(*rows.arrays)
    return in_base(check, base, rows.total(terms))


def generalized_kl_divergence(
    log_predictions: ArrayLike,
    targets: ArrayLike,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    *,
    base: ArrayLike | None = None,
) -> Array:
    """Kullback-Leibler divergence of masses that need not sum to 1.

    Formula:
      `sum(t (log(t) - log_predictions) + exp(log_predictions) - t)` with `t` the targets and
      `0 log(0) = 0`, divided by `log(base)`.

    Args:
      log_predictions: `[..., C]`, natural logarithms of the predicted masses.
      targets: `[..., C]`, `>= 0`, masses.
      axis: the axis or axes of the classes; None is all of them.
      where: boolean, of the result's shape: False makes the loss exactly 0; or of the rank of the
        predictions: False removes a class from its row.
      base: `> 0` and not 1, a scalar: 2 gives bits; e by default, nats. May be traced.

    Returns:
      `[...]`, the predictions without `axis`, in [0, inf): every term is 0 where prediction and
      target are equal, and positive elsewhere, small ones included.

    Edge cases:
      A class with target 0 adds its predicted mass; one that has a target and is predicted with
      -inf makes the loss infinite. The gradient is `exp(log_predictions) - t` for log-predictions
      and `log(t) - log_predictions` for targets, and at a target of 0, where that is infinite, 0.
      A negative target gives NaN.

    Differences:
      optax's function of this name has the same parameters and numbers; its gradient at a target
      of 0 is NaN, and so is its value if the prediction is -inf there. Between distributions it is
      `kl_divergence`.

    Raises:
      TypeError: an argument is a list, or `log_predictions` are not floating point.
      ValueError: the ranks differ, a dimension is neither equal nor 1, `axis` is no axis, `base`
        is not a scalar, or `where` has neither shape.

    Reference:
      Bregman, "The Relaxation Method of Finding the Common Point of Convex Sets and Its
      Application to the Solution of Problems in Convex Programming", 1967.

    Example:
      >>> log_predictions, targets = jnp.log(jnp.array([2.0, 0.5])), jnp.array([1.0, 0.0])
      >>> loss = jaxloss.generalized_kl_divergence(log_predictions, targets)
      >>> print(f"{loss:.4f}")
      0.8069
    """
    check = Arguments("generalized_kl_divergence")
    arrays = check.pair(log_predictions=log_predictions, targets=targets)
    rows = reduced(check, axis, where, *arrays)
    terms = elementwise(_bregman, expensive=2)(*rows.arrays)
    return in_base(check, base, rows.total(terms))


def jensen_shannon_divergence(
    p: ArrayLike,
    q: ArrayLike,
    *,
    axis: Axis = -1,
    base: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Jensen-Shannon divergence of two distributions, symmetric and bounded.

    Formula:
      `(KL(p || m) + KL(q || m)) / 2` with `m = (p + q) / 2`, divided by `log(base)`.

    Args:
      p: `[..., C]` in [0, 1], probabilities; they are not made to sum to 1.
      q: `[..., C]` in [0, 1], probabilities.
      axis: the axis or axes of the classes; None is all of them.
      base: `> 0` and not 1, a scalar: 2 gives bits; e by default, nats. May be traced.
      where: boolean, of the result's shape: False makes the loss exactly 0; or of the rank of the
        probabilities: False removes a class from its row.

    Returns:
      `[...]`, the probabilities without `axis`, in [0, log(2)] for distributions. No term is
      negative, and the divergence of nearly equal distributions keeps its digits.

    Edge cases:
      Finite everywhere, zeros included; a class that both lack adds 0. The gradient for p is
      `log(p / m) / 2`, and at `p = 0`, where that is infinite, 0: a class that is absent stays so,
      and the gradient through a softmax in front is the exact one. A negative probability gives
      NaN.

    Differences:
      The Jensen-Shannon distance, with which tutorials confuse it, is the square root of this.

    Raises:
      TypeError: an argument is a list, or `p` is not floating point.
      ValueError: the ranks differ, a dimension is neither equal nor 1, `axis` is no axis, `base`
        is not a scalar, or `where` has neither shape.

    Reference:
      Lin, "Divergence Measures Based on the Shannon Entropy", 1991.

    Example:
      >>> p, q = jnp.array([0.1, 0.2, 0.7]), jnp.array([0.3, 0.3, 0.4])
      >>> print(f"{jaxloss.jensen_shannon_divergence(p, q):.5f}")
      0.05191
    """
    check = Arguments("jensen_shannon_divergence")
    rows = reduced(check, axis, where, *check.pair(p=p, q=q))
    return in_base(check, base, rows.total(_shannon(*rows.arrays)))


@jax.custom_jvp
def _divergence(log_q: Array, t: Array) -> Array:
    """t (log(t) - log_q), and 0 with derivative 0 where t is 0."""
    absent = (t == 0) & (log_q < jnp.inf)
    # All in what is selected, so that the compiler for CPUs writes one array on the way.
    gap = jnp.log(jnp.where(absent, 1, t)) - jnp.where(absent, 0, log_q)
    return jnp.where(absent, 0, t * gap)


def _divergence_jvp(
    primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    log_q, t = primals
    along_t = jnp.where(t == 0, 0, 1 + jnp.log(jnp.where(t == 0, 1, t)) - log_q)
    return _divergence(log_q, t), weighted((-t, along_t), tangents)


_divergence.defjvp(_divergence_jvp, symbolic_zeros=True)


def _divergence_of_logarithms(log_q: Array, log_t: Array) -> Array:
    """exp(log_t) (log_t - log_q), and 0 with derivative 0 where exp(log_t) is 0."""
    absent = jnp.exp(log_t) == 0
    log_t = jnp.where(absent, 0, log_t)
    gap = log_t - jnp.where(absent & (log_q == -jnp.inf), 0, log_q)
    return jnp.where(absent, 0, jnp.exp(log_t)) * gap


@jax.custom_jvp
def _bregman(log_q: Array, t: Array) -> Array:
    """t (exp(d) - 1 - d) with d = log_q - log(t), which is q where t is 0."""
    d, near = _log_ratio(log_q, t)
    far = jnp.exp(log_q) - t * (1 + jnp.where(near, 0, d))
    return jnp.where(near, t * jnp.square(d) * horner(d, EXPONENTIAL_REST), far)


def _bregman_jvp(
    primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    log_q, t = primals
    d, near = _log_ratio(log_q, t)
    along_q = jnp.where(near, t * jnp.expm1(jnp.where(near, d, 0)), jnp.exp(log_q) - t)
    return _bregman(log_q, t), weighted((along_q, -d), tangents)


_bregman.defjvp(_bregman_jvp, symbolic_zeros=True)


def _log_ratio(log_q: Array, t: Array) -> tuple[Array, Array]:
    """log_q - log(t), or 0 where t is 0, and whether both are near each other."""
    absent = t == 0
    d = jnp.where(absent, 0, log_q) - jnp.log(jnp.where(absent, 1, t))
    return d, (jnp.abs(d) < 1) & ~absent


@jax.custom_jvp
def _shannon(p: Array, q: Array) -> Array:
    """(p log(p / m) + q log(q / m)) / 2 as m ((1 + s) log(1 + s) + (1 - s) log(1 - s)) / 2.

    Here m = (p + q) / 2 and s = (p - q) / 2m.
    """
    total = p + q
    inverse = 1 / jnp.where(total == 0, 1, total)
    s, lower = (p - q) * inverse, 2 * jnp.minimum(p, q) * inverse
    near = jnp.square(s) * horner(jnp.square(s), CONVEXITY[s.dtype.itemsize])
    far = lower * logarithm(jnp.where(lower == 0, 1, lower))
    far += horner(1 - CENTRE + jnp.abs(s), HIGHER_SHARE[s.dtype.itemsize])
    return settled(0.25 * total * jnp.where(jnp.abs(s) < 0.5, near, far))


def _shannon_jvp(
    primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    p, q = primals
    slopes = 0.5 * _log_share(p, q), 0.5 * _log_share(q, p)
    return _shannon(p, q), weighted(slopes, tangents)


_shannon.defjvp(_shannon_jvp, symbolic_zeros=True)


@jax.custom_jvp
def _log_share(p: Array, q: Array) -> Array:
    """log(2 p / (p + q)), and 0 with derivative 0 where p is 0."""
    total = p + q
    # In another text than that of the divergence, or a CPU would write the quotient of both.
    inverse = 1 / jnp.where(total != 0, total, 1)
    s, share = (p - q) * inverse, 2 * p * inverse
    share = jnp.where(share == 0, 1, jnp.where(s > -0.5, 1 + s, share))
    # What rounding 1 + s has lost, over the share; 1 - s is near enough to one over that.
    lost = jnp.where(s > -0.5, s - (share - 1), 0)
    return logarithm(share) + lost * (1 - s)


@_log_share.defjvp
def _log_share_jvp(
    primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    p, q = primals
    slope = ratio(ratio(q, p) * tangents[0] - tangents[1], p + q)
    return _log_share(p, q), jnp.where(p == 0, 0, slope)
