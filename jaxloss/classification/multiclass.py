"""Losses of one class of many, or of a distribution over classes; the class axis is reduced."""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, hide, keep
from jaxloss._derivatives import weighted
from jaxloss._logistic import Logit, known_number, logistic_cost, logistic_focus
from jaxloss._numerics import difference

Axis = int | tuple[int, ...]


def softmax_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    axis: Axis | None = -1,
    where: ArrayLike | None = None,
    *,
    class_weights: ArrayLike | None = None,
    label_smoothing: ArrayLike = 0.0,
    temperature: ArrayLike = 1.0,
) -> Array:
    """Cross-entropy of a softmax with a distribution over the classes.

    Formula:
      `-sum_c w_c y_c log(p_c)` with `p = softmax(logits / temperature)`, `w` the `class_weights`
      and `y = (1 - label_smoothing) labels + label_smoothing / C`.

    Args:
      logits: `[..., C]`, unnormalised log-probabilities.
      labels: `[..., C]`, the probability of each class; a row need not sum to 1.
      axis: the axis of the classes; several axes, or None for all, are one long list of classes.
      where: boolean, of the result's shape: False makes the loss exactly 0; or of the rank of the
        logits: False removes a class from its row as if it did not exist, and a row without
        classes is exactly 0.
      class_weights: `[C]`, `>= 0`, how much each class counts; 1 by default.
      label_smoothing: in [0, 1], the share of the label that is spread evenly over all classes.
      temperature: `> 0`, a scalar that divides the logits. It and `label_smoothing` may be traced.

    Returns:
      `[...]`, the logits without `axis`, in [0, inf) and nats.

    Edge cases:
      Smooth everywhere: the gradient is `(S - w y) p - w y (1 - p)` with `S` the sum of `w y`,
      and `1 - p` is a sum over the other classes, so that neither the loss nor the gradient of a
      confident one-hot row is lost by cancellation. Finite with its derivatives for every finite
      logit. A logit of -inf has probability 0, and adds 0 to the loss where its label is 0.
      Labels are differentiable.

    Differences:
      optax's function of this name has the same parameters and numbers; a logit of -inf gives NaN
      there, and 0 in its `safe_softmax_cross_entropy`. torch's `cross_entropy` with probabilities
      agrees, smoothing and class weights included. Some tutorials smooth with
      `label_smoothing / (C - 1)` on the other classes alone.

    Raises:
      TypeError: an argument is a list, or `logits` are not floating point.
      ValueError: the ranks differ, a dimension is neither equal nor 1, `class_weights` are not
        `[C]`, or `where` has neither shape.

    Reference:
      Bridle, "Probabilistic Interpretation of Feedforward Classification Network Outputs", 1990;
      Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, "Rethinking the Inception Architecture for Computer
      Vision", 2015, arXiv 1512.00567 (label smoothing).

    Example:
      >>> logits, labels = jnp.array([1.2, -0.3, 0.5]), jnp.array([0.8, 0.2, 0.0])
      >>> loss = jaxloss.softmax_cross_entropy(logits, labels)
      >>> print(f"{loss:.4f}")
      0.8422
    """
    check = Arguments("softmax_cross_entropy")
    x, y = jnp.broadcast_arrays(*check.pair(logits=logits, labels=labels))
    axes = _axes(check, axis, x.ndim)
    rows = _rows(check, x / check.scalar("temperature", temperature, x), axes, where)
    smoothing = check.scalar("label_smoothing", label_smoothing, x)
    y = (1 - smoothing) * _flat(y, axes) + smoothing * _even(rows)
    if class_weights is not None:
        y = _per_class(check, "class_weights", class_weights, rows) * y
    return keep(rows.mask, _distribution_cost(rows.x, _blank(rows, y, 0), rows.axis))


def softmax_cross_entropy_with_integer_labels(
    logits: ArrayLike,
    labels: ArrayLike,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    *,
    class_weights: ArrayLike | None = None,
    label_smoothing: ArrayLike = 0.0,
    ignore_label: ArrayLike | None = None,
    temperature: ArrayLike = 1.0,
) -> Array:
    """Cross-entropy of a softmax with one right class.

    Formula:
      `-(1 - e) w_y log(p_y) - e / C sum_c w_c log(p_c)` with `p = softmax(logits / temperature)`,
      `y` the label, `w` the `class_weights` and `e` the `label_smoothing`.

    Args:
      logits: `[..., C]`, unnormalised log-probabilities.
      labels: `[...]`, integers in [0, C): the logits' shape without `axis`.
      axis: the axis of the classes; several axes are one long list of classes, and a label counts
        along it in row-major order.
      where: boolean, of the result's shape: False makes the loss exactly 0; or of the rank of the
        logits: False removes a class from its row as if it did not exist, and a row without
        classes is exactly 0.
      class_weights: `[C]`, `>= 0`, how much each class counts; 1 by default. For a mean like
        PyTorch's, divide by `class_weights_of`.
      label_smoothing: in [0, 1], the share of the label that is spread evenly over all classes.
      ignore_label: a label, in or out of range, that makes the loss exactly 0.
      temperature: `> 0`, a scalar that divides the logits. It and `label_smoothing` may be traced.

    Returns:
      `[...]`, the labels' shape, in [0, inf) and nats. Without smoothing, the relative precision is
      the same for a loss of 1e-30 as for 1.

    Edge cases:
      Smooth everywhere: without smoothing and weights the gradient is `p`, and `p_y - 1` at the
      label, computed as a sum over the other classes. Finite with its derivatives for every finite
      logit; a logit of -inf has probability 0. A label outside [0, C), -1 included, or of a
      removed class gives NaN in value and in gradient unless it is ignored or masked. No one-hot
      array is made.

    Differences:
      optax's function of this name agrees for labels in range; there -1 is the last class, and the
      label of a removed class takes part. torch's `cross_entropy` agrees, with its `weight`,
      `ignore_index` (-100 by default) and `label_smoothing` together; its mean divides by the
      weights of the labels, and over nothing it is NaN.

    Raises:
      TypeError: an argument is a list, `logits` are not floating point or `labels` not integers.
      ValueError: `labels` have another shape than the logits without `axis`, `class_weights` are
        not `[C]`, or `where` has neither shape.

    Reference:
      Bridle, "Probabilistic Interpretation of Feedforward Classification Network Outputs", 1990;
      Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, "Rethinking the Inception Architecture for Computer
      Vision", 2015, arXiv 1512.00567 (label smoothing).

    Example:
      >>> logits, labels = jnp.array([[1.2, -0.3, 0.5], [9.0, 0.0, 0.0]]), jnp.array([0, 3])
      >>> losses = jaxloss.softmax_cross_entropy_with_integer_labels(logits, labels)
      >>> print(np.array_str(losses, precision=4))
      [0.5422    nan]
    """
    check = Arguments("softmax_cross_entropy_with_integer_labels")
    (x,) = check.floats(logits=logits)
    x = x / check.scalar("temperature", temperature, x)
    rows, target = _labelled(check, x, labels, axis, where, ignore_label)
    weights = jnp.ones_like(rows.x)
    if class_weights is not None:
        weights = _per_class(check, "class_weights", class_weights, rows)
    losses = target.pick(weights) * _cost(_log_odds(rows.x, target.at, rows.axis))
    if not (isinstance(label_smoothing, int | float) and label_smoothing == 0):
        smoothing = check.scalar("label_smoothing", label_smoothing, x)
        spread = _distribution_cost(rows.x, _blank(rows, weights * _even(rows), 0), rows.axis)
        losses = (1 - smoothing) * losses + smoothing * spread
    return keep(rows.mask, target.known * losses)


def softmax_focal_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    axis: Axis = -1,
    alpha: ArrayLike | None = None,
    gamma: ArrayLike = 2.0,
    ignore_label: ArrayLike | None = None,
    temperature: ArrayLike = 1.0,
    where: ArrayLike | None = None,
) -> Array:
    """Cross-entropy of a softmax with one right class, scaled down where that class is likely.

    Formula:
      `-alpha_y (1 - p_y)^gamma log(p_y)` with `p = softmax(logits / temperature)` and `y` the
      label.

    Args:
      logits: `[..., C]`, unnormalised log-probabilities.
      labels: `[...]`, integers in [0, C): the logits' shape without `axis`.
      axis: the axis of the classes; several axes are one long list of classes, and a label counts
        along it in row-major order.
      alpha: `>= 0`, the weight of every class (a scalar) or of each (`[C]`); 1 by default.
      gamma: `>= 0`, a scalar; 0 is cross-entropy. A Python number that is a multiple of 1/2 is
        computed by products and square roots; any other number and any array, which may be traced
        and differentiated, by a logarithm.
      ignore_label: a label, in or out of range, that makes the loss exactly 0.
      temperature: `> 0`, a scalar that divides the logits. May be traced.
      where: boolean, of the result's shape: False makes the loss exactly 0; or of the rank of the
        logits: False removes a class from its row as if it did not exist, and a row without
        classes is exactly 0.

    Returns:
      `[...]`, the labels' shape, in [0, inf) and nats. Relative precision is the same for a loss
      of 1e-30 as for 1: `1 - p_y` is a sum over the other classes.

    Edge cases:
      Smooth everywhere. Value, gradient and second derivatives are finite for every finite logit
      and every `gamma >= 0`, below 1 too. The factor `(1 - p_y)^gamma` is differentiated, not held
      constant. A label outside [0, C), -1 included, or of a removed class gives NaN in value and
      in gradient unless it is ignored or masked.

    Differences:
      kornia's and MONAI's weigh class 0 with `1 - alpha` and every other class with `alpha`: pass
      `[C]` weights for that. Some implementations hold the factor constant while differentiating,
      and others sum one sigmoid focal loss over the classes under this name.

    Raises:
      TypeError: an argument is a list, `logits` are not floating point or `labels` not integers.
      ValueError: `labels` have another shape than the logits without `axis`, `alpha` is neither a
        scalar nor `[C]`, or `where` has neither shape.

    Reference:
      Lin, Goyal, Girshick, He, Dollár, "Focal Loss for Dense Object Detection", 2017,
      arXiv 1708.02002 (for two classes).

    Example:
      >>> logits, labels = jnp.array([[1.2, -0.3, 0.5]]), jnp.array([0])
      >>> losses = jaxloss.softmax_focal_loss(logits, labels)
      >>> print(np.array_str(losses, precision=4))
      [0.095]
    """
    check = Arguments("softmax_focal_loss")
    (x,) = check.floats(logits=logits)
    x = x / check.scalar("temperature", temperature, x)
    rows, target = _labelled(check, x, labels, axis, where, ignore_label)
    log_odds = _log_odds(rows.x, target.at, rows.axis)
    exponent = check.scalar("gamma", gamma, x)
    focus = logistic_focus(log_odds, jnp.zeros_like(exponent), exponent, known_number(gamma))
    losses = focus * _cost(log_odds)
    if alpha is not None and jnp.ndim(alpha) == 0:
        losses = check.scalar("alpha", alpha, x) * losses
    elif alpha is not None:
        losses = target.pick(_per_class(check, "alpha", alpha, rows)) * losses
    return keep(rows.mask, target.known * losses)


def negative_log_likelihood(
    log_probabilities: ArrayLike,
    labels: ArrayLike,
    *,
    axis: Axis = -1,
    class_weights: ArrayLike | None = None,
    ignore_label: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Minus the log-probability of the right class.

    Formula:
      `-w_y log_probabilities_y` with `y` the label and `w` the `class_weights`.

    Args:
      log_probabilities: `[..., C]`, natural logarithms; normalising them is the caller's.
      labels: `[...]`, integers in [0, C): the shape of `log_probabilities` without `axis`.
      axis: the axis of the classes; several axes are one long list of classes, and a label counts
        along it in row-major order.
      class_weights: `[C]`, `>= 0`, how much each class counts; 1 by default. For a mean like
        PyTorch's, divide by `class_weights_of`.
      ignore_label: a label, in or out of range, that makes the loss exactly 0.
      where: boolean, of the result's shape: False makes the loss exactly 0; or of the rank of
        `log_probabilities`: False removes a class from its row, so that no label may name it, and
        a row without classes is exactly 0.

    Returns:
      `[...]`, the labels' shape, in [0, inf) for log-probabilities, in nats.

    Edge cases:
      Linear: the gradient is `-w_y` at the label and 0 elsewhere. A log-probability of -inf at the
      label gives inf. A label outside [0, C), -1 included, or of a removed class gives NaN in
      value and in gradient unless it is ignored or masked.

    Differences:
      torch's `nll_loss` has `ignore_index=-100` by default, and its mean divides by the weights of
      the labels. Of logits, take `softmax_cross_entropy_with_integer_labels` in one step: it keeps
      the digits of a confident row.

    Raises:
      TypeError: an argument is a list, `log_probabilities` are not floating point or `labels` not
        integers.
      ValueError: `labels` have another shape than `log_probabilities` without `axis`,
        `class_weights` are not `[C]`, or `where` has neither shape.

    Reference:
      Fisher, "On the Mathematical Foundations of Theoretical Statistics", 1922.

    Example:
      >>> log_probabilities = jnp.log(jnp.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]))
      >>> print(jaxloss.negative_log_likelihood(log_probabilities, jnp.array([1, 2])))
      [1.3862944  0.22314353]
    """
    check = Arguments("negative_log_likelihood")
    (x,) = check.floats(log_probabilities=log_probabilities)
    rows, target = _labelled(check, x, labels, axis, where, ignore_label)
    losses = -target.pick(rows.x)
    if class_weights is not None:
        weights = _per_class(check, "class_weights", class_weights, rows)
        losses = target.pick(weights) * losses
    return keep(rows.mask, target.known * losses)


def class_weights_of(
    labels: ArrayLike, class_weights: ArrayLike, *, ignore_label: ArrayLike | None = None
) -> Array:
    """The weight of each label's class.

    Formula:
      `w_y` with `y` the label and `w` the `class_weights`.

    Args:
      labels: `[...]`, integers in [0, C).
      class_weights: `[C]`, floating point, `>= 0`.
      ignore_label: a label, in or out of range, whose weight is exactly 0.

    Returns:
      `[...]`, the labels' shape, float32 at least. As `mean(losses, normalizer=...)` it makes
      PyTorch's mean of a class-weighted cross-entropy.

    Edge cases:
      A label outside [0, C), -1 included, gives NaN unless it is ignored. Differentiable in the
      weights.

    Differences:
      `class_weights[labels]` takes -1 for the last class and, in JAX, a label that is too large
      for the last one as well.

    Raises:
      TypeError: an argument is a list, `class_weights` are not floating point or `labels` not
        integers.
      ValueError: `class_weights` are not `[C]`.

    Reference:
      None: a table look-up.

    Example:
      >>> labels, class_weights = jnp.array([0, 2, 1, 255]), jnp.array([0.5, 1.0, 4.0])
      >>> print(jaxloss.class_weights_of(labels, class_weights, ignore_label=255))
      [0.5 4.  1.  0. ]
    """
    check = Arguments("class_weights_of")
    (weights,) = check.floats(class_weights=class_weights)
    check.shape("class_weights", weights, (None,), "one weight a class")
    y, counted = _labels(check, labels, check.array("labels", labels).shape, ignore_label)
    (y,) = hide(counted, y)
    target = _target(y, weights.shape[0], y.ndim, weights.dtype)
    return keep(counted, target.known * target.pick(jnp.expand_dims(weights, range(y.ndim))))


class _Rows(NamedTuple):
    """Logits with their classes along one axis, and what a mask leaves of them.

    Attributes:
      x: the logits; -inf in removed classes, 0 in masked rows.
      kept: None, or False in removed classes.
      mask: None, or False in masked rows, in the rank of the result.
      axis: the axis of the classes, counted from the front.
    """

    x: Array
    kept: Array | None
    mask: Array | None
    axis: int


class _Target(NamedTuple):
    """The class that each row's label names.

    Attributes:
      at: True at that class; along the class axis no array of floats is made.
      known: 1, and NaN where the label names no class that is kept: a factor of every loss.
      axis: the axis of the classes.
    """

    at: Array
    known: Array
    axis: int

    def pick(self, values: Array) -> Array:
        """The values at the labels' classes."""
        return jnp.sum(jnp.where(self.at, values, jnp.zeros((), values.dtype)), self.axis)


def _rows(
    check: Arguments,
    x: Array,
    axes: tuple[int, ...],
    where: ArrayLike | None,
    counted: Array | None = None,
) -> _Rows:
    """`x` as rows of classes without what `where` removes, and what is not `counted`."""
    kept, mask = None, None
    axis = axes[0] if len(axes) == 1 else x.ndim - len(axes)
    if where is not None and jnp.ndim(where) == x.ndim:
        mask = check.where(where, x.shape, "the logits")
        kept = None if mask is None else _flat(jnp.broadcast_to(mask, x.shape), axes)
        mask = None if kept is None else jnp.any(kept, axis)
    else:
        mask = check.where(where, _result_shape(x.shape, axes))
    if counted is not None:
        mask = counted if mask is None else counted & mask
    rows = _Rows(_flat(x, axes), kept, mask, axis)
    return rows._replace(x=_blank(rows, rows.x, -jnp.inf))


def _labelled(
    check: Arguments,
    x: Array,
    labels: ArrayLike,
    axis: Axis,
    where: ArrayLike | None,
    ignore_label: ArrayLike | None,
) -> tuple[_Rows, _Target]:
    """`x` as rows of classes, and the class that each row's label names."""
    axes = _axes(check, axis, x.ndim)
    y, counted = _labels(check, labels, _result_shape(x.shape, axes), ignore_label)
    rows = _rows(check, x, axes, where, counted)
    (y,) = hide(rows.mask, y)
    target = _target(y, rows.x.shape[rows.axis], rows.axis, x.dtype)
    if rows.kept is None or rows.mask is None:
        return rows, target
    at = target.at & rows.kept
    known = jnp.any(at, rows.axis) | ~rows.mask
    return rows, _Target(at, _one_or_nan(known, x.dtype), rows.axis)


def _labels(
    check: Arguments, labels: ArrayLike, shape: tuple[int, ...], ignore_label: ArrayLike | None
) -> tuple[Array, Array | None]:
    """Labels as signed integers, and where they are not to be ignored."""
    y = check.labels("labels", labels, shape)
    y = y.astype(jnp.int64 if y.dtype.itemsize == 8 else jnp.int32)
    if ignore_label is None:
        return y, None
    return y, y != check.labels("ignore_label", ignore_label, ()).astype(y.dtype)


def _target(y: Array, classes: int, axis: int, dtype: np.dtype[Any]) -> _Target:
    shape = tuple(classes if i == axis else 1 for i in range(y.ndim + 1))
    at = lax.broadcasted_iota(y.dtype, shape, axis) == jnp.expand_dims(y, axis)
    return _Target(at, _one_or_nan((y >= 0) & (y < classes), dtype), axis)


def _one_or_nan(known: Array, dtype: np.dtype[Any]) -> Array:
    return jnp.where(known, jnp.ones((), dtype), jnp.full((), jnp.nan, dtype))


def _blank(rows: _Rows, array: Array, removed: float) -> Array:
    """`array` with `removed` in removed classes and 0 in masked rows."""
    if rows.kept is not None:
        array = jnp.where(rows.kept, array, jnp.full((), removed, array.dtype))
    if rows.mask is not None:
        (array,) = hide(jnp.expand_dims(rows.mask, rows.axis), array)
    return array


def _even(rows: _Rows) -> Array:
    """One over the number of classes in each row, removed ones left out."""
    kept = jnp.ones((), bool) if rows.kept is None else rows.kept
    kept = jnp.broadcast_to(kept, rows.x.shape).astype(rows.x.dtype)
    return kept / jnp.maximum(jnp.sum(kept, rows.axis, keepdims=True), 1)


def _per_class(check: Arguments, name: str, values: ArrayLike, rows: _Rows) -> Array:
    """A vector `[C]` of values along the classes."""
    array = check.array(name, values)
    check.shape(name, array, (rows.x.shape[rows.axis],), "one number a class")
    return check.parameter(name, array, rows.x, rows.axis)


def _axes(check: Arguments, axis: Axis | None, rank: int) -> tuple[int, ...]:
    axes = tuple(range(rank)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    try:
        return tuple(np.lib.array_utils.normalize_axis_tuple(axes, rank))
    except (ValueError, TypeError):
        raise ValueError(
            f"`{check.function}`: `axis` is {axis}, expected one axis, or a tuple of different "
            f"axes, of an array of {rank} dimensions"
        ) from None


def _flat(array: Array, axes: tuple[int, ...]) -> Array:
    """`array` with several class axes made one, the last; one axis stays where it is."""
    if len(axes) == 1:
        return array
    array = jnp.moveaxis(array, axes, range(-len(axes), 0))
    batch = array.shape[: array.ndim - len(axes)]
    return array.reshape(*batch, math.prod(array.shape[len(batch) :]))


def _result_shape(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


def _cost(log_odds: Logit) -> Array:
    """-log of the label's probability, from the log-odds of being wrong."""
    zero = jnp.zeros((), log_odds.value.dtype)
    return logistic_cost(log_odds, zero, zero + 1)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _log_odds(x: Array, at_label: Array, axis: int) -> Logit:
    """Log-odds of all other classes together against the label's.

    They are a sum over the other classes, never 1 - p; what the difference of the two logits
    rounds away goes into the decay. Without another class they are the lowest finite number.
    """
    highest, masses = _others(x, at_label, axis)
    label = jnp.sum(jnp.where(at_label, x, jnp.zeros((), x.dtype)), axis)
    gap, lost = difference(jnp.squeeze(highest, axis), label)
    total = jnp.sum(masses, axis)
    value = jnp.maximum(gap + jnp.log(total), np.finfo(x.dtype).min)
    odds = jnp.exp(gap) * (1 + lost) * total
    return Logit(value, jnp.where(value > 0, 1 / odds, odds))


@_log_odds.defjvp
def _log_odds_jvp(
    axis: int, primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Logit, Logit]:
    x, at_label = primals
    log_odds = _log_odds(x, at_label, axis)
    _, masses = _others(x, at_label, axis)
    total = jnp.sum(masses, axis, keepdims=True)
    shares = masses / jnp.where(total > 0, total, jnp.ones_like(total))
    tangent = jnp.sum(jnp.where(at_label, -jnp.ones((), x.dtype), shares) * tangents[0], axis)
    return log_odds, Logit(tangent, jnp.zeros_like(tangent))


def _others(x: Array, at_label: Array, axis: int) -> tuple[Array, Array]:
    """The highest logit of the classes other than the label's, and exp(x - highest) of them."""
    lowest = np.finfo(x.dtype).min
    highest = jnp.max(jnp.where(at_label, lowest, x), axis, keepdims=True, initial=lowest)
    highest = lax.stop_gradient(highest)
    return highest, jnp.exp(jnp.where(at_label, -jnp.inf, x) - highest)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _distribution_cost(x: Array, y: Array, axis: int) -> Array:
    """-sum y log softmax(x), where a class of label 0 adds 0 whatever its logit."""
    gaps, rest = _below_highest(x, axis)
    linear = jnp.sum(jnp.where(y == 0, jnp.zeros((), y.dtype), y * gaps), axis)
    return linear + jnp.sum(y, axis) * jnp.squeeze(jnp.log1p(rest), axis)


def _distribution_cost_jvp(
    axis: int,
    primals: tuple[Array, Array],
    tangents: tuple[Array, Array],
) -> tuple[Array, Array]:
    x, y = primals
    p, n = _softmax(x, axis)
    gaps, rest = _below_highest(x, axis)
    others = jnp.sum(y, axis, keepdims=True) - y
    tangent = weighted((others * p - y * n, gaps + jnp.log1p(rest)), tangents)
    return _distribution_cost(x, y, axis), jnp.sum(tangent, axis)


_distribution_cost.defjvp(_distribution_cost_jvp, symbolic_zeros=True)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _softmax(x: Array, axis: int) -> tuple[Array, Array]:
    """p = softmax(x) and 1 - p, which at the highest logit is a sum over the other classes."""
    gaps, rest = _below_highest(x, axis)
    mass = jnp.exp(-gaps)
    return mass / (1 + rest), jnp.where(gaps == 0, rest, 1 + rest - mass) / (1 + rest)


@_softmax.defjvp
def _softmax_jvp(
    axis: int, primals: tuple[Array], tangents: tuple[Array]
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    p, n = _softmax(*primals, axis)
    slope = p * (tangents[0] - jnp.sum(p * tangents[0], axis, keepdims=True))
    return (p, n), (slope, -slope)


def _below_highest(x: Array, axis: int) -> tuple[Array, Array]:
    """How far each logit is below the highest, and the sum of exp of that, the highest left out."""
    gaps = jnp.max(x, axis, keepdims=True) - x
    ties = jnp.sum((gaps == 0).astype(x.dtype), axis, keepdims=True) - 1
    lower = jnp.where(gaps == 0, jnp.zeros((), x.dtype), jnp.exp(-gaps))
    return gaps, ties + jnp.sum(lower, axis, keepdims=True)
