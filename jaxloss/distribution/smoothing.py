"""Labels that leave some of their certainty to other classes, in two conventions."""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, keep
from jaxloss._numerics import ratio
from jaxloss._reduced import Axis, Reduced, reduced


def smooth_labels(
    labels: ArrayLike,
    alpha: ArrayLike,
    *,
    axis: Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Labels of which a share is spread evenly over all classes, the true one included.

    Formula:
      `(1 - alpha) labels + alpha / C`.

    Args:
      labels: `[..., C]`, the probability of each class, one-hot or soft; floating point.
      alpha: in [0, 1], the share: a scalar, a vector along the last axis, or of the rank of the
        labels. May be traced.
      axis: the axis or axes of the classes; None is all of them.
      where: boolean, of the rank of the labels with dimensions equal or 1; False removes a class,
        whose label becomes exactly 0 and is not counted in `C`.

    Returns:
      `[..., C]`, the labels' shape. The true class of a one-hot row has `1 - alpha + alpha / C`.

    Edge cases:
      Linear in the labels and in `alpha`. A row without classes is 0.

    Differences:
      optax's function of this name, and what PyTorch, timm and segmentation_models.pytorch smooth
      with; for rows that sum to 1, `smooth_labels_over_others` with `alpha (C - 1) / C`. Where
      `where` is False, optax leaves a number.

    Raises:
      TypeError: an argument is a list, or `labels` are not floating point.
      ValueError: `axis` is no axis, or `alpha` or `where` do not fit.

    Reference:
      Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, "Rethinking the Inception Architecture for Computer
      Vision", 2015, arXiv 1512.00567.

    Example:
      >>> labels = jnp.array([0.0, 1.0, 0.0, 0.0])
      >>> print(jaxloss.smooth_labels(labels, 0.2))
      [0.05 0.85 0.05 0.05]
    """
    check = Arguments("smooth_labels")
    rows, y, alpha = _rows(check, labels, alpha, axis, where)
    return keep(rows.kept, (1 - alpha) * y + ratio(alpha, _classes(rows, y)))


def smooth_labels_over_others(
    labels: ArrayLike,
    alpha: ArrayLike,
    *,
    axis: Axis = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Labels of which a share is spread evenly over the other classes.

    Formula:
      `(1 - alpha) y_c + alpha / (C - 1) sum_{j != c} y_j` with `y` the labels.

    Args:
      labels: `[..., C]`, the probability of each class, one-hot or soft; floating point.
      alpha: in [0, 1], the share: a scalar, a vector along the last axis, or of the rank of the
        labels. May be traced.
      axis: the axis or axes of the classes; None is all of them.
      where: boolean, of the rank of the labels with dimensions equal or 1; False removes a class,
        whose label becomes exactly 0 and is not counted in `C`.

    Returns:
      `[..., C]`, the labels' shape, with the sum of each row kept. The true class of a one-hot row
      has `1 - alpha`, each other `alpha / (C - 1)`.

    Edge cases:
      Linear in the labels: a soft label is the mean of smoothed one-hot ones. Where there is one
      class, there is none to take the share, and `1 - alpha` is left.

    Differences:
      The convention of some tutorials. For rows that sum to 1 it is `smooth_labels`, the
      convention of optax and PyTorch, with `alpha C / (C - 1)`.

    Raises:
      TypeError: an argument is a list, or `labels` are not floating point.
      ValueError: `axis` is no axis, or `alpha` or `where` do not fit.

    Reference:
      Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, "Rethinking the Inception Architecture for Computer
      Vision", 2015, arXiv 1512.00567, for the idea.

    Example:
      >>> labels = jnp.array([0.0, 1.0, 0.0, 0.0])
      >>> print(jaxloss.smooth_labels_over_others(labels, 0.15))
      [0.05 0.85 0.05 0.05]
    """
    check = Arguments("smooth_labels_over_others")
    rows, y, alpha = _rows(check, labels, alpha, axis, where)
    others = jnp.sum(y, rows.axes, keepdims=True) - y
    return keep(rows.kept, (1 - alpha) * y + ratio(alpha, _classes(rows, y) - 1) * others)


def _rows(
    check: Arguments, labels: ArrayLike, alpha: ArrayLike, axis: Axis, where: ArrayLike | None
) -> tuple[Reduced, Array, Array]:
    (y,) = check.floats(labels=labels)
    check.where(where, y.shape, "the labels")
    rows = reduced(check, axis, where, y)
    return rows, rows.arrays[0], check.parameter("alpha", alpha, y, at_least=0, at_most=1)


def _classes(rows: Reduced, y: Array) -> Array:
    """How many classes each row has, in the rank of the labels."""
    return jnp.expand_dims(rows.total(jnp.ones_like(y)), rows.axes)
