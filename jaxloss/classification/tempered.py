"""The bi-tempered logistic loss, and the softmax with heavy or no tails that it is made of.

Probabilities are handled by their logarithms: of temperature t, `log_t(p)` is
`expm1((1 - t) log(p)) / (1 - t)`, which is total, and the plain logarithm where `t = 1`.
"""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, keep
from jaxloss._derivatives import weighted
from jaxloss._logarithm import logarithm
from jaxloss._logistic import known_number
from jaxloss._numerics import horner, ratio
from jaxloss._sums import sums
from jaxloss.classification._rows import Axis, blank, even_shares, flat, rows_of

STEPS = 10
# (1 - (1 - w) exp(w)) / w**2 and (exp(w) - 1 - w) / w**2 as series in w.
SLOPE_OF_MEAN_EXPONENTIAL = tuple(1 / (math.factorial(n) * (n + 2)) for n in range(13))
CURVATURE_OF_EXPONENTIAL = tuple(1 / math.factorial(n + 2) for n in range(13))


def bi_tempered_logistic_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    axis: Axis | None = -1,
    temperature1: ArrayLike = 0.8,
    temperature2: ArrayLike = 1.2,
    label_smoothing: ArrayLike = 0.0,
    where: ArrayLike | None = None,
) -> Array:
    """Cross-entropy that is bounded, of a softmax with heavy tails, to bear wrong labels.

    Formula:
      `sum_c y_c (log_t1(y_c) - log_t1(p_c)) - (y_c^(2 - t1) - p_c^(2 - t1)) / (2 - t1)` with
      `p_c = exp_t2(logits_c - l)`, the number `l` such that `sum_c p_c = 1`,
      `log_t(u) = (u^(1 - t) - 1) / (1 - t)`, `exp_t(u) = max(1 + (1 - t) u, 0)^(1 / (1 - t))`,
      their limits `log` and `exp` at `t = 1`, and
      `y = (1 - C / (C - 1) label_smoothing) labels + label_smoothing / (C - 1)`.

    Args:
      logits: `[..., C]`.
      labels: `[..., C]`, the probability of each class.
      axis: the axis of the classes; several axes, or None for all, are one long list of classes.
      temperature1: `t1`, a scalar in [0, 1]; below 1 the loss is bounded.
      temperature2: `t2 > 0`, a scalar; above 1 the tails of `p` are heavy, below 1 classes far from
        the highest have probability 0. At `t1 = t2 = 1` the loss is cross-entropy less the entropy
        of the labels. Both temperatures may be traced and differentiated, at 1 too.
      label_smoothing: in [0, 1), a scalar, the share of a one-hot label that goes to the other
        classes, evenly. May be traced.
      where: boolean, of the result's shape: False makes the loss exactly 0; or of the rank of the
        logits: False removes a class from its row as if it did not exist, and a row without
        classes is exactly 0.

    Returns:
      `[...]`, the logits without `axis`, in [0, inf), and 0 at `p = y`, close to which digits
      cancel: the error is that of numbers of order 1, not of the loss.

    Edge cases:
      Smooth in the logits for `t2 >= 1`; for `t2 < 1` a class whose probability is 0 has gradient
      0. Finite with its derivatives for every finite logit, but infinite (a very large number)
      where `t1 = 1`, `t2 < 1` and a class of probability 0 has a label. A logit of -inf has
      probability 0. `p` is normalised to the last digits and its derivative is the implicit one,
      so that neither hangs on a number of iterations. Labels are differentiable; at a label of 0
      the derivative takes the logarithm of the smallest normal number.

    Differences:
      For `t2 > 1` the authors' code finds `l` with 5 steps of a fixed-point iteration by default:
      at `t1 = 0.8`, `t2 = 1.2` and ordinary logits the loss differs in the eighth digit.

    Raises:
      TypeError: an argument is a list, or `logits` are not floating point.
      ValueError: the ranks differ, a dimension is neither equal nor 1, a temperature or
        `label_smoothing` is no scalar, or `where` has neither shape.

    Reference:
      Amid, Warmuth, Anil, Koren, "Robust Bi-Tempered Logistic Loss Based on Bregman Divergences",
      2019, arXiv 1906.03361.

    Example:
      >>> logits, labels = jnp.array([1.2, -0.3, 0.5]), jnp.array([1.0, 0.0, 0.0])
      >>> loss = jaxloss.bi_tempered_logistic_loss(logits, labels)
      >>> print(f"{loss:.4f}")
      0.4396
    """
    check = Arguments("bi_tempered_logistic_loss")
    x, y = jnp.broadcast_arrays(*check.pair(logits=logits, labels=labels))
    axes = check.axes(axis, x.ndim)
    rows, y = rows_of(check, x, axes, where), flat(y, axes)
    if known_number(label_smoothing) != 0:
        even = even_shares(rows)
        smoothing = check.scalar("label_smoothing", label_smoothing, x, at_least=0, below=1)
        others = ratio(smoothing, 1 - even)
        y = (1 - others) * y + others * even
    y = blank(rows, y, 0)
    exponent = 1 - check.scalar("temperature1", temperature1, x, at_least=0, at_most=1)
    tail = check.scalar("temperature2", temperature2, x, above=0) - 1
    log_p = _log_tempered_softmax(rows.x, tail, rows.axis)
    return keep(rows.mask, jnp.sum(_divergence(y, log_p, exponent), rows.axis))


def _divergence(y: Array, log_p: Array, a: Array) -> Array:
    """The terms of the loss from log(p), with `a = 1 - t1`."""
    smallest = np.finfo(y.dtype).tiny
    labelled = y > smallest
    log_y = jnp.where(labelled, logarithm(jnp.where(labelled, y, 1)), math.log(smallest))
    costs = y * (_tempered_logarithm(log_y, a) - _tempered_logarithm(log_p, a))
    zero = jnp.zeros_like(y)
    known, guess = (jnp.where(labelled, log, zero) for log in (log_y, log_p))
    surplus = _tempered_logarithm(guess, a + 1) - _tempered_logarithm(known, a + 1)
    return costs + jnp.where(labelled, surplus, jnp.exp((a + 1) * log_p) / (a + 1))


@jax.custom_jvp
def _tempered_logarithm(log_p: Array, a: Array) -> Array:
    """(p**a - 1) / a from log(p), which it is at a = 0."""
    w = a * log_p
    return log_p * jnp.where(w == 0, 1, jnp.expm1(w) / jnp.where(w == 0, 1, w))


def _tempered_logarithm_jvp(
    primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    log_p, a = primals
    value, w = _tempered_logarithm(log_p, a), a * log_p
    near = jnp.abs(w) < 0.5
    by_series = _square(log_p) * horner(jnp.where(near, w, 0 * w), SLOPE_OF_MEAN_EXPONENTIAL)
    quotient = (log_p * jnp.exp(w) - value) / jnp.where(near, 1, a)
    slopes = jnp.exp(w), jnp.where(near, by_series, quotient)
    return value, weighted(slopes, tangents)


_tempered_logarithm.defjvp(_tempered_logarithm_jvp, symbolic_zeros=True)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _log_tempered_softmax(x: Array, tail: Array, axis: int) -> Array:
    """log(exp_t(x - l)) with `tail = t - 1`; of probability 0, a very low number.

    `l` is found through the logarithm of the highest probability, in which the logarithm of the
    sum is nearly linear: by the secant method between bounds, one pass over the logits a step.
    """
    highest = jnp.max(x, axis, keepdims=True)
    at_highest = x == highest
    gaps = jnp.minimum(highest - x, np.finfo(x.dtype).max / 8)
    ties = jnp.sum(at_highest.astype(x.dtype), axis, keepdims=True) - 1

    def log_p_of(top: Array) -> Array:
        log_p = -_gap_of_logarithms(gaps - _tempered_logarithm(top, -tail), tail)
        return jnp.where(at_highest, top, jnp.where(jnp.isneginf(x), _lowest(x), log_p))

    def excess_of(top: Array) -> Array:
        """The logarithm of the sum."""
        (others,) = sums((jnp.where(at_highest, 0, jnp.exp(log_p_of(top))),), (axis,))
        return jnp.log1p(jnp.expm1(top) + ties * jnp.exp(top) + jnp.expand_dims(others, axis))

    zero = jnp.zeros_like(highest)
    return log_p_of(_root(excess_of, zero - math.log(max(x.shape[axis], 1)), zero))


def _root(excess_of: Callable[[Array], Array], low: Array, high: Array) -> Array:
    """Where a rising function is 0, by secants from `high`, whose slope is taken for 1."""
    least = math.sqrt(np.finfo(high.dtype).eps)
    top, before, excess_before = high, high, jnp.zeros_like(high)
    slope = jnp.ones_like(high)
    for _ in range(STEPS):
        excess = excess_of(top)
        # Of changes that are smaller, rounding makes the quotient.
        rise, run = excess - excess_before, top - before
        steep = (jnp.abs(rise) > least) & (rise * run > 0)
        slope = jnp.where(steep, rise / jnp.where(steep, run, 1), slope)
        low, high = jnp.where(excess < 0, top, low), jnp.where(excess < 0, high, top)
        before, excess_before, moved = top, excess, top - excess / slope
        inside = (moved >= low) & (moved <= high)
        top = jnp.where(inside, moved, 0.5 * (low + high))
    return top


def _log_tempered_softmax_jvp(
    axis: int, primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    x, tail = primals
    log_p = _log_tempered_softmax(x, tail, axis)
    possible, zero = log_p > _lowest(x), jnp.zeros_like(x)
    w = jnp.where(possible, tail * log_p, zero)
    near = jnp.abs(w) < 0.5
    by_series = _square(log_p) * horner(jnp.where(near, w, zero), CURVATURE_OF_EXPONENTIAL)
    by_tail = jnp.where(near, by_series, (jnp.expm1(w) - w) / jnp.where(near, 1, tail * tail))
    slopes = (jnp.where(possible, slope, zero) for slope in (jnp.exp(w), by_tail))
    p, (p_to_tail, by_tail) = jnp.exp(log_p), slopes
    # What the change with l held fixed takes from the sum of p, l gives back.
    change = weighted((p_to_tail, by_tail), tangents)
    lost = jnp.sum(p * change, axis, keepdims=True) / jnp.sum(p * p_to_tail, axis, keepdims=True)
    return log_p, change - p_to_tail * lost


_log_tempered_softmax.defjvp(_log_tempered_softmax_jvp, symbolic_zeros=True)


def _gap_of_logarithms(gap: Array, tail: Array) -> Array:
    """-log(exp_t(-gap)) of a gap >= 0: log(1 + tail gap) / tail, which is the gap at tail 0."""
    w = jnp.minimum(tail * gap, np.finfo(gap.dtype).max)
    inside = w > -1
    safe = jnp.where(inside & (w != 0), w, 1)
    return jnp.where(inside, gap * jnp.where(w == 0, 1, jnp.log1p(safe) / safe), -_lowest(gap))


def _square(log_p: Array) -> Array:
    """The square, without overflow where there is next to no probability."""
    return jnp.square(jnp.maximum(log_p, -1e18))


def _lowest(like: Array) -> Array:
    """What stands for the logarithm of 0."""
    return jnp.full((), np.finfo(like.dtype).min / 8, like.dtype)
