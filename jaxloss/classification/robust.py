"""Softmax losses that bend cross-entropy, most of them to bear labels that are wrong."""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, keep
from jaxloss._softmax import distribution_cost, distribution_error
from jaxloss.classification._rows import Axis, axes_of, blank, flat, rows_of


def poly_loss_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    epsilon: ArrayLike = 2.0,
    axis: Axis | None = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Cross-entropy plus a multiple of the probability of being wrong (Poly-1).

    Formula:
      `-sum_c y_c log(p_c) + epsilon sum_c y_c (1 - p_c)` with `p = softmax(logits)` and `y` the
      labels.

    Args:
      logits: `[..., C]`, unnormalised log-probabilities.
      labels: `[..., C]`, the probability of each class; a row need not sum to 1.
      epsilon: a scalar, how much the first term of the expansion of cross-entropy in powers of
        `1 - p` gains; 0 is cross-entropy, and from -1 on the loss is not negative. May be traced.
      axis: the axis of the classes; several axes, or None for all, are one long list of classes.
      where: boolean, of the result's shape: False makes the loss exactly 0; or of the rank of the
        logits: False removes a class from its row as if it did not exist, and a row without
        classes is exactly 0.

    Returns:
      `[...]`, the logits without `axis`, in [0, inf) for `epsilon >= -1` and distributions.

    Edge cases:
      Smooth everywhere, finite with its derivatives for every finite logit. `1 - p` is a sum over
      the other classes, so that a confident one-hot row keeps the digits of its loss and gradient.
      A logit of -inf has probability 0. Labels are differentiable.

    Differences:
      optax's function of this name has the same parameters and numbers. `epsilon = 1` is common
      elsewhere. The focal form of the paper, which adds `epsilon (1 - p)^(gamma + 1)` to a focal
      loss, is not this function.

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
    axes = axes_of(check, axis, x.ndim)
    rows = rows_of(check, x, axes, where)
    y = blank(rows, flat(y, axes), 0)
    error = check.scalar("epsilon", epsilon, x) * distribution_error(rows.x, y, rows.axis)
    return keep(rows.mask, distribution_cost(rows.x, y, rows.axis) + error)
