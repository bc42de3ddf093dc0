"""Elementwise losses of one logit, or one probability, against yes, no, or something between."""

import functools

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, keep, result_like
from jaxloss._derivatives import elementwise, weighted
from jaxloss._logistic import (
    known_number,
    logistic,
    logistic_cost,
    logistic_focus,
    logit,
    power,
    shifted_cost,
    softplus,
)
from jaxloss._numerics import relu

NO_ALPHA = "`alpha=None` is for no weights, which others write as -1"


def sigmoid_binary_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    positive_weight: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Binary cross-entropy of every logit with its label.

    Formula:
      `-w y log(p) - (1 - y) log(1 - p)` with `p = sigmoid(logits)`, `y` the labels and `w` the
      `positive_weight`.

    Args:
      logits: `[...]`, log-odds of a yes.
      labels: `[...]`, boolean, integers 0 and 1, or floating point in [0, 1] (soft labels).
      positive_weight: `>= 0`, how much a yes counts against a no, 1 by default: a scalar, a vector
        along the last axis (the classes), or of the rank of the logits. May be traced.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, inf), in nats. Relative precision is the same for a loss of 1e-30 as for 1.

    Edge cases:
      Smooth everywhere: the gradient is `(1 - y) p - w y (1 - p)`, without cancellation in either
      tail. Finite with its derivatives for every finite logit; an infinite logit gives NaN. An
      integer label other than 0 and 1 gives NaN in value and in gradient; a floating-point label
      outside [0, 1] is put into the formula as it is. Soft labels are differentiable.

    Differences:
      optax's function of this name and torch's `binary_cross_entropy_with_logits` (its
      `pos_weight` is `positive_weight`, its `weight` multiplies the result) agree, except that
      they broadcast any shapes, and that optax gives a label of 2 a number.

    Raises:
      TypeError: an argument is a list, or `logits` are not floating point.
      ValueError: the ranks differ, or a dimension is neither equal nor 1.

    Reference:
      Good, "Rational Decisions", 1952.

    Example:
      >>> logits, labels = jnp.array([0.7, -1.5, -1.5]), jnp.array([1, 0, 1])
      >>> losses = jaxloss.sigmoid_binary_cross_entropy(logits, labels)
      >>> print(np.array_str(losses, precision=4))
      [0.4032 0.2014 1.7014]
    """
    check = Arguments("sigmoid_binary_cross_entropy")
    x, y, mask = _logits_and_labels(check, "logits", logits, labels, where)
    weights: tuple[Array, ...] = ()
    if positive_weight is not None:
        like = result_like(x, y)
        weights = (check.parameter("positive_weight", positive_weight, like, at_least=0),)
    return keep(mask, elementwise(binary_cost)(x, y, *weights))


def sigmoid_focal_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    alpha: ArrayLike | None = None,
    gamma: ArrayLike = 2.0,
    *,
    where: ArrayLike | None = None,
) -> Array:
    """Binary cross-entropy, scaled down where the logit already gives the right answer.

    Formula:
      `-alpha_t q^gamma (y log(p) + (1 - y) log(1 - p))` with `p = sigmoid(logits)`, `y` the
      labels, `q = y (1 - p) + (1 - y) p` the probability of being wrong, and
      `alpha_t = alpha y + (1 - alpha) (1 - y)`, or 1 without `alpha`.

    Args:
      logits: `[...]`, log-odds of a yes.
      labels: `[...]`, boolean, integers 0 and 1, or floating point in [0, 1] (soft labels).
      alpha: in [0, 1], the weight of a yes; a no has `1 - alpha`. None weighs both with 1. A
        scalar, a vector along the last axis (the classes), or of the rank of the logits. May be
        traced.
      gamma: `>= 0`; 0 is cross-entropy. A Python number that is a multiple of 1/2 is computed by
        products and square roots; any other number and any array, which may be traced and
        differentiated, by a logarithm. Shapes as for `alpha`.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, inf), in nats. Relative precision is the same for a loss of 1e-30 as for 1.

    Edge cases:
      Smooth everywhere. Value, gradient and second derivatives are finite for every finite logit
      and every `gamma >= 0`, below 1 too; an infinite logit gives NaN. The factor `q^gamma` is
      differentiated, not held constant. An integer label other than 0 and 1 gives NaN in value and
      in gradient. Soft labels are differentiable.

    Differences:
      optax's function of this name has the same parameters and numbers, with `alpha` and `gamma`
      by keyword only. torchvision's has alpha 0.25 by default and -1 for none, its gradient is NaN
      for `gamma < 1` at logits beyond about 17, and so is its second derivative for `gamma < 2`;
      Ultralytics' gamma is 1.5. All return unreduced losses; RetinaNet divides their sum by the
      number of positive anchors.

    Raises:
      TypeError: an argument is a list, or `logits` are not floating point.
      ValueError: the ranks differ, or a dimension is neither equal nor 1.

    Reference:
      Lin, Goyal, Girshick, He, Dollár, "Focal Loss for Dense Object Detection", 2017,
      arXiv 1708.02002.

    Example:
      >>> logits, labels = jnp.array([0.7, -1.5]), jnp.array([1, 0])
      >>> losses = jaxloss.sigmoid_focal_loss(logits, labels, alpha=0.25)
      >>> print(np.array_str(losses, precision=4))
      [0.0111 0.005 ]
    """
    check = Arguments("sigmoid_focal_loss")
    x, y, mask = _logits_and_labels(check, "logits", logits, labels, where)
    like = result_like(x, y)
    weights: tuple[Array, ...] = ()
    if alpha is not None:
        weights = (check.parameter("alpha", alpha, like, at_least=0, at_most=1, hint=NO_ALPHA),)
    hard = not jnp.issubdtype(check.array("labels", labels).dtype, jnp.floating)
    text = _hard_focal if hard else _focal
    focal = elementwise(functools.partial(text, known_number(gamma)))
    return keep(mask, focal(x, y, check.parameter("gamma", gamma, like, at_least=0), *weights))


def asymmetric_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    positive_gamma: ArrayLike = 1.0,
    negative_gamma: ArrayLike = 4.0,
    margin: ArrayLike = 0.05,
    where: ArrayLike | None = None,
) -> Array:
    """Binary cross-entropy that scales the easy noes down further, and forgets the easiest.

    Formula:
      `-y (1 - p)^g log(p) - (1 - y) p_m^h log(1 - p_m)` with `p = sigmoid(logits)`,
      `p_m = max(p - margin, 0)`, `y` the labels, `g` the `positive_gamma` and `h` the
      `negative_gamma`.

    Args:
      logits: `[...]`, log-odds of a yes.
      labels: `[...]`, boolean, integers 0 and 1, or floating point in [0, 1] (soft labels).
      positive_gamma: `>= 0`, how far an easy yes is scaled down. A Python number that is a
        multiple of 1/2 is computed by products and square roots; any other number and any array,
        which may be traced and differentiated, by a logarithm. A scalar, a vector along the last
        axis (the classes), or of the rank of the logits.
      negative_gamma: `>= 0`, how far an easy no is scaled down; as `positive_gamma`.
      margin: in [0, 1), the probability up to which a no costs nothing. Shapes as for
        `positive_gamma`; may be traced and differentiated.
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, inf), in nats. Relative precision is the same for a loss of 1e-30 as for 1,
      except where `p` is close to the margin.

    Edge cases:
      A no with `p <= margin` has loss and gradient exactly 0; at `p = margin` there is a kink for
      `negative_gamma = 0` alone. Value and derivatives are finite for every finite logit and all
      exponents `>= 0`, with `margin = 0` too; an infinite logit gives NaN. The factors are
      differentiated, not held constant. An integer label other than 0 and 1 gives NaN in value and
      in gradient. Soft labels are differentiable.

    Differences:
      The authors' `AsymmetricLoss` holds the factors `(1 - p)^g` and `p_m^h` constant while
      differentiating, their `AsymmetricLossOptimized` does not; both clamp the logarithms at 1e-8
      and return the sum. Their loss of one label of many, on a softmax, is not this function.

    Raises:
      TypeError: an argument is a list, or `logits` are not floating point.
      ValueError: the ranks differ, or a dimension is neither equal nor 1.

    Reference:
      Ben-Baruch, Ridnik, Zamir, Noy, Friedman, Protter, Zelnik-Manor, "Asymmetric Loss For
      Multi-Label Classification", 2020, arXiv 2009.14119.

    Example:
      >>> logits, labels = jnp.array([0.7, 0.7, -4.0]), jnp.array([1, 0, 0])
      >>> losses = jaxloss.asymmetric_loss(logits, labels)
      >>> print(np.array_str(losses, precision=4))
      [0.1338 0.1406 0.    ]
    """
    check = Arguments("asymmetric_loss")
    x, y, mask = _logits_and_labels(check, "logits", logits, labels, where)
    like = result_like(x, y)
    settings = (
        check.parameter("positive_gamma", positive_gamma, like, at_least=0),
        check.parameter("negative_gamma", negative_gamma, like, at_least=0),
        check.parameter("margin", margin, like, at_least=0, below=1),
    )
    known = known_number(positive_gamma), known_number(negative_gamma)
    return keep(mask, elementwise(functools.partial(_asymmetric, *known))(x, y, *settings))


def binary_cross_entropy(
    probabilities: ArrayLike, labels: ArrayLike, *, where: ArrayLike | None = None
) -> Array:
    """Binary cross-entropy of every probability with its label.

    Formula:
      `-y max(log(p), -100) - (1 - y) max(log(1 - p), -100)` with `p` the probabilities and `y` the
      labels; the gradient is `(p - y) / max(p (1 - p), 1e-12)`.

    Args:
      probabilities: `[...]` in [0, 1], of a yes.
      labels: `[...]`, boolean, integers 0 and 1, or floating point in [0, 1] (soft labels).
      where: boolean `[...]`; False makes the loss exactly 0.

    Returns:
      `[...]` in [0, 100], in nats.

    Edge cases:
      Exactly 0 at `p = y`, with gradient 0, for `y` of 0 and 1; 100 where `p` is wholly wrong,
      with gradient +-1e12. The floors of the logarithms are not differentiated: near them the
      gradient is the stated one. A probability outside [0, 1] gives NaN, and so does an integer
      label other than 0 and 1. Prefer `sigmoid_binary_cross_entropy` where there are logits: a
      float32 probability close to 1 has lost the digits that the loss needs.

    Differences:
      torch's `binary_cross_entropy`, whose floor and gradient these are, with
      `reduction="none"`; it broadcasts nothing, this dimensions of 1.

    Raises:
      TypeError: an argument is a list, or `probabilities` are not floating point.
      ValueError: the ranks differ, or a dimension is neither equal nor 1.

    Reference:
      Good, "Rational Decisions", 1952.

    Example:
      >>> print(jaxloss.binary_cross_entropy(jnp.array([0.5, 0.0, 1.0]), jnp.array([0, 1, 1])))
      [  0.6931472 100.          0.       ]
    """
    check = Arguments("binary_cross_entropy")
    p, y, mask = _logits_and_labels(check, "probabilities", probabilities, labels, where)
    return keep(mask, elementwise(_probability_cost)(p, y))


def binary_cost(x: Array, y: Array, *positive_weight: Array) -> Array:
    positive = positive_weight[0] * y if positive_weight else y
    return logistic_cost(logit(x), positive, 1 - y)


def _focal(known: float | None, x: Array, y: Array, gamma: Array, *alpha: Array) -> Array:
    loss = logistic_focus(logit(x), y, gamma, known) * logistic_cost(logit(x), y, 1 - y)
    return _weighted(loss, y, *alpha)


def _hard_focal(known: float | None, x: Array, y: Array, gamma: Array, *alpha: Array) -> Array:
    """The same for labels of 0 and 1, with less arithmetic: the logit of the wrong answer tells."""
    wrong = logit((1 - 2 * y) * x)
    return _weighted(logistic_focus(wrong, None, gamma, known) * softplus(wrong), y, *alpha)


def _weighted(loss: Array, y: Array, *alpha: Array) -> Array:
    return (alpha[0] * y + (1 - alpha[0]) * (1 - y)) * loss if alpha else loss


def _asymmetric(
    known_positive: float | None,
    known_negative: float | None,
    x: Array,
    y: Array,
    positive_gamma: Array,
    negative_gamma: Array,
    margin: Array,
) -> Array:
    positive_focus = logistic_focus(logit(-x), None, positive_gamma, known_positive)
    negative_focus = power(relu(logistic(logit(x))[0] - margin), negative_gamma, known_negative)
    positive = positive_focus * softplus(logit(-x))
    return y * positive + (1 - y) * (negative_focus * shifted_cost(logit(x), margin))


@jax.custom_jvp
def _probability_cost(p: Array, y: Array) -> Array:
    return -y * jnp.maximum(jnp.log(p), -100) - (1 - y) * jnp.maximum(jnp.log1p(-p), -100)


def _probability_cost_jvp(
    primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    p, y = primals
    no, yes = _probability_cost(p, jnp.zeros_like(y)), _probability_cost(p, jnp.ones_like(y))
    slopes = ((p - y) / jnp.maximum(p * (1 - p), 1e-12), yes - no)
    return _probability_cost(p, y), weighted(slopes, tangents)


_probability_cost.defjvp(_probability_cost_jvp, symbolic_zeros=True)


def _logits_and_labels(
    check: Arguments,
    name: str,
    predictions: ArrayLike,
    labels: ArrayLike,
    where: ArrayLike | None,
) -> tuple[Array, Array, Array | None]:
    """Predictions, labels as floats (NaN for a wrong integer), 0 in masked places, and the mask."""
    (x, y), mask = check.masked_pair(where, **{name: predictions, "labels": labels})
    if jnp.issubdtype(check.array("labels", labels).dtype, jnp.integer):
        y = jnp.where((y == 0) | (y == 1), y, jnp.nan)
    return x, y, mask
