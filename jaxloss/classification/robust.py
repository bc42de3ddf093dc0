"""Softmax losses that bend cross-entropy, most of them to bear labels that are wrong."""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, keep
from jaxloss._logistic import logistic, softplus
from jaxloss._softmax import distribution_cost_and_error, log_odds_against
from jaxloss.classification._rows import Axis, blank, cooled, flat, labelled, rows_of
from jaxloss.classification.tempered import _tempered_logarithm


def poly_loss_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    epsilon: ArrayLike = 2.0,
    axis: Axis | None = -1,
    where: ArrayLike | None = None,
    temperature: ArrayLike = 1.0,
) -> Array:
    """Cross-entropy plus a multiple of the probability of being wrong (Poly-1).

    Formula:
      `-sum_c y_c log(p_c) + epsilon sum_c y_c (1 - p_c)` with `p = softmax(logits / temperature)`
      and `y` the labels.

    Args:
      logits: `[..., C]`, unnormalised log-probabilities.
      labels: `[..., C]`, the probability of each class; a row need not sum to 1.
      epsilon: a scalar, how much the first term of the expansion of cross-entropy in powers of
        `1 - p` gains; 0 is cross-entropy, and from -1 on the loss is not negative. May be traced.
      axis: the axis of the classes; several axes, or None for all, are one long list of classes.
      where: boolean, of the result's shape: False makes the loss exactly 0; or of the rank of the
        logits: False removes a class from its row as if it did not exist, and a row without
        classes is exactly 0.
      temperature: `> 0`, a scalar that divides the logits. May be traced.

    Returns:
      `[...]`, the logits without `axis`, in [0, inf) for `epsilon >= -1` and distributions.

    Edge cases:
      Smooth everywhere, finite with its derivatives for every finite logit. `1 - p` is a sum over
      the other classes, so that a confident one-hot row keeps the digits of its loss and gradient.
      A logit of -inf has probability 0. Labels are differentiable.

    Differences:
      optax's function of this name has the same numbers, and no `temperature`. `epsilon = 1` is
      common elsewhere. The focal form of the paper, which adds `epsilon (1 - p)^(gamma + 1)` to a
      focal loss, is not this function.

    Raises:
      TypeError: an argument is a list, or `logits` are not floating point.
      ValueError: the ranks differ, a dimension is neither equal nor 1, `epsilon` is no scalar, or
        `where` has neither shape.

    Reference:
      Leng, Tan, Liu, Cubuk, Shi, Cheng, Anguelov, "PolyLoss: A Polynomial Expansion Perspective
      of Classification Loss Functions", 2022, arXiv 2204.12511.

    Example:
      >>> logits, labels = jnp.array([1.2, -0.3, 0.5]), jnp.array([1.0, 0.0, 0.0])
      >>> loss = jaxloss.poly_loss_cross_entropy(logits, labels, epsilon=1.0)
      >>> print(f"{loss:.4f}")
      0.9607
    """
    check = Arguments("poly_loss_cross_entropy")
    x, y = jnp.broadcast_arrays(*check.pair(logits=logits, labels=labels))
    axes = check.axes(axis, x.ndim)
    rows = rows_of(check, cooled(check, x, temperature), axes, where)
    y = blank(rows, flat(y, axes), 0)
    cost, error = distribution_cost_and_error(rows.x, y, rows.axis)
    return keep(rows.mask, cost + check.scalar("epsilon", epsilon, x) * error)


def generalized_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    axis: Axis = -1,
    exponent: ArrayLike = 0.7,
    ignore_label: ArrayLike | None = None,
    temperature: ArrayLike = 1.0,
    where: ArrayLike | None = None,
) -> Array:
    """Between cross-entropy and the probability of being wrong, which bears wrong labels better.

    Formula:
      `(1 - p_y^q) / q` with `p = softmax(logits / temperature)`, `y` the label and `q` the
      exponent; `-log(p_y)`, its limit, for `q = 0`.

    Args:
      logits: `[..., C]`, unnormalised log-probabilities.
      labels: `[...]`, integers in [0, C): the logits' shape without `axis`.
      axis: the axis of the classes; several axes are one long list of classes, and a label counts
        along it in row-major order of the axes as they are given.
      exponent: in [0, 1], a scalar; 0 is cross-entropy, 1 the probability of being wrong. May be
        traced and differentiated, at 0 too.
      ignore_label: a label, in or out of range, that makes the loss exactly 0.
      temperature: `> 0`, a scalar that divides the logits. May be traced.
      where: boolean, of the result's shape: False makes the loss exactly 0; or of the rank of the
        logits: False removes a class from its row as if it did not exist, and a row without
        classes is exactly 0.

    Returns:
      `[...]`, the labels' shape, in [0, 1 / q), or in [0, inf) for `q = 0`. Relative precision is
      the same for a loss of 1e-30 as for 1, whatever the exponent.

    Edge cases:
      Smooth everywhere: the gradient is that of cross-entropy times `p_y^q`. Finite with its
      derivatives for every finite logit; a logit of -inf has probability 0. A label outside
      [0, C), -1 included, or of a removed class gives NaN in value and in gradient unless it is
      ignored or masked.

    Differences:
      At `q = 1` this is half the mean absolute error that the paper names as the limit. The
      paper's truncated loss, constant where `p_y <= 0.5`, is not this function.

    Raises:
      TypeError: an argument is a list, `logits` are not floating point or `labels` not integers.
      ValueError: `labels` have another shape than the logits without `axis`, `exponent` is no
        scalar, or `where` has neither shape.

    Reference:
      Zhang, Sabuncu, "Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy
      Labels", 2018, arXiv 1805.07836.

    Example:
      >>> logits, labels = jnp.array([[1.2, -0.3, 0.5]]), jnp.array([0])
      >>> print(np.array_str(jaxloss.generalized_cross_entropy(logits, labels), precision=4))
      [0.4511]
    """
    check = Arguments("generalized_cross_entropy")
    (x,) = check.floats(logits=logits)
    x = cooled(check, x, temperature)
    rows, target = labelled(check, x, labels, axis, where, ignore_label)
    log_odds = log_odds_against(rows.x, target)
    q = check.scalar("exponent", exponent, x, at_least=0, at_most=1)
    losses = -_tempered_logarithm(-softplus(log_odds), q)
    return keep(rows.mask, target.known * losses)


def symmetric_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    axis: Axis = -1,
    alpha: ArrayLike = 0.1,
    beta: ArrayLike = 1.0,
    log_floor: ArrayLike = -4.0,
    ignore_label: ArrayLike | None = None,
    temperature: ArrayLike = 1.0,
    where: ArrayLike | None = None,
) -> Array:
    """Cross-entropy both ways: of prediction and label, and of label and prediction.

    Formula:
      `-alpha log(p_y) - beta A (1 - p_y)` with `p = softmax(logits / temperature)`, `y` the label
      and `A` the `log_floor`: `-sum_c p_c log(y_c)` of a one-hot label with `log(0) = A`.

    Args:
      logits: `[..., C]`, unnormalised log-probabilities.
      labels: `[...]`, integers in [0, C): the logits' shape without `axis`.
      axis: the axis of the classes; several axes are one long list of classes, and a label counts
        along it in row-major order of the axes as they are given.
      alpha: `>= 0`, a scalar, the weight of cross-entropy.
      beta: `>= 0`, a scalar, the weight of the reverse cross-entropy.
      log_floor: `< 0`, a scalar, what stands for the logarithm of 0. It, `alpha` and `beta` may be
        traced.
      ignore_label: a label, in or out of range, that makes the loss exactly 0.
      temperature: `> 0`, a scalar that divides the logits. May be traced.
      where: boolean, of the result's shape: False makes the loss exactly 0; or of the rank of the
        logits: False removes a class from its row as if it did not exist, and a row without
        classes is exactly 0.

    Returns:
      `[...]`, the labels' shape, in [0, inf). Relative precision is the same for a loss of 1e-30
      as for 1.

    Edge cases:
      Smooth everywhere. Finite with its derivatives for every finite logit; a logit of -inf has
      probability 0. A label outside [0, C), -1 included, or of a removed class gives NaN in value
      and in gradient unless it is ignored or masked.

    Differences:
      The authors' code clips the one-hot label at 1e-4, which is a `log_floor` of -9.2103.

    Raises:
      TypeError: an argument is a list, `logits` are not floating point or `labels` not integers.
      ValueError: `labels` have another shape than the logits without `axis`, `alpha`, `beta` or
        `log_floor` is no scalar, or `where` has neither shape.

    Reference:
      Wang, Ma, Chen, Luo, Yi, Bailey, "Symmetric Cross Entropy for Robust Learning with Noisy
      Labels", 2019, arXiv 1908.06112.

    Example:
      >>> logits, labels = jnp.array([[1.2, -0.3, 0.5]]), jnp.array([0])
      >>> print(np.array_str(jaxloss.symmetric_cross_entropy(logits, labels), precision=4))
      [1.7282]
    """
    check = Arguments("symmetric_cross_entropy")
    (x,) = check.floats(logits=logits)
    x = cooled(check, x, temperature)
    rows, target = labelled(check, x, labels, axis, where, ignore_label)
    log_odds = log_odds_against(rows.x, target)
    wrong, _ = logistic(log_odds)
    reverse = -check.scalar("log_floor", log_floor, x, below=0) * wrong
    losses = check.scalar("alpha", alpha, x, at_least=0) * softplus(log_odds)
    losses = losses + check.scalar("beta", beta, x, at_least=0) * reverse
    return keep(rows.mask, target.known * losses)
