"""Losses of one class of many, or of a distribution over classes; the class axis is reduced."""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, hide, keep
from jaxloss._logistic import known_number, logistic_focus, softplus
from jaxloss._softmax import distribution_cost, log_odds_against, smoothed_cost
from jaxloss._target import labels_of, target_of
from jaxloss.classification._rows import (
    Axis,
    blank,
    cooled,
    even_shares,
    flat,
    labelled,
    per_class,
    rows_of,
)
from jaxloss.classification.binary import NO_ALPHA


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
    axes = check.axes(axis, x.ndim)
    rows = rows_of(check, cooled(check, x, temperature), axes, where)
    y = flat(y, axes)
    if known_number(label_smoothing) != 0:
        smoothing = check.scalar("label_smoothing", label_smoothing, x, at_least=0, at_most=1)
        y = (1 - smoothing) * y + smoothing * even_shares(rows)
    if class_weights is not None:
        y = per_class(check, "class_weights", class_weights, rows) * y
    return keep(rows.mask, distribution_cost(rows.x, blank(rows, y, 0), rows.axis))


def safe_softmax_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    temperature: ArrayLike = 1.0,
    where: ArrayLike | None = None,
) -> Array:
    """Cross-entropy of a softmax with a distribution, in which an impossible class may stand.

    Formula:
      `-sum_c y_c log(p_c)` with `p = softmax(logits / temperature)` and `y` the labels, and
      `0 log(0) = 0`.

    Args:
      logits: `[..., C]`, unnormalised log-probabilities; -inf is a class of probability 0.
      labels: `[..., C]`, the probability of each class; a row need not sum to 1.
      temperature: `> 0`, a scalar that divides the logits. May be traced.
      where: boolean, of the result's shape: False makes the loss exactly 0; or of the rank of the
        logits: False removes a class from its row as if it did not exist, and a row without
        classes is exactly 0.

    Returns:
      `[...]`, the logits without their last axis, in [0, inf) and nats.

    Edge cases:
      Smooth everywhere, with the gradient of `softmax_cross_entropy`. A logit of -inf has
      probability 0 and gradient 0; it adds 0 to the loss where its label is 0, and makes it inf
      where its label is positive. Finite with its derivatives for every finite logit.

    Differences:
      optax's function of this name has the same numbers. `softmax_cross_entropy` here is the same
      function with more parameters: in optax the two differ at logits of -inf.

    Raises:
      TypeError: an argument is a list, or `logits` are not floating point.
      ValueError: the ranks differ, a dimension is neither equal nor 1, or `where` has neither
        shape.

    Reference:
      Bridle, "Probabilistic Interpretation of Feedforward Classification Network Outputs", 1990.

    Example:
      >>> logits, labels = jnp.array([1.2, -jnp.inf, 0.5]), jnp.array([0.8, 0.0, 0.2])
      >>> loss = jaxloss.safe_softmax_cross_entropy(logits, labels)
      >>> print(f"{loss:.4f}")
      0.5432
    """
    check = Arguments("safe_softmax_cross_entropy")
    x, y = jnp.broadcast_arrays(*check.pair(logits=logits, labels=labels))
    x = cooled(check, x, temperature)
    rows = rows_of(check, x, check.axes(-1, x.ndim), where)
    return keep(rows.mask, distribution_cost(rows.x, blank(rows, y, 0), rows.axis))


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
        along it in row-major order of the axes as they are given.
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
    x = cooled(check, x, temperature)
    rows, target = labelled(check, x, labels, axis, where, ignore_label)
    own, even = jnp.ones((), x.dtype), even_shares(rows)
    if class_weights is not None:
        weights = per_class(check, "class_weights", class_weights, rows)
        own, even = target.pick(weights), weights * even
    if known_number(label_smoothing) == 0:
        losses = own * softplus(log_odds_against(rows.x, target))
    else:
        smoothing = check.scalar("label_smoothing", label_smoothing, x, at_least=0, at_most=1)
        own = jnp.broadcast_to((1 - smoothing) * own, target.known.shape)
        losses = smoothed_cost(rows.x, target, own, smoothing * even, rows.kept)
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
        along it in row-major order of the axes as they are given.
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
    x = cooled(check, x, temperature)
    rows, target = labelled(check, x, labels, axis, where, ignore_label)
    log_odds = log_odds_against(rows.x, target)
    exponent = check.scalar("gamma", gamma, x, at_least=0)
    focus = logistic_focus(log_odds, None, exponent, known_number(gamma))
    losses = focus * softplus(log_odds)
    if alpha is not None and check.array("alpha", alpha).ndim == 0:
        losses = check.scalar("alpha", alpha, x, at_least=0, hint=NO_ALPHA) * losses
    elif alpha is not None:
        losses = target.pick(per_class(check, "alpha", alpha, rows)) * losses
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
        along it in row-major order of the axes as they are given.
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
    rows, target = labelled(check, x, labels, axis, where, ignore_label)
    # The factor on every class makes the gradient NaN, too, where the label names none.
    losses = -target.pick(jnp.expand_dims(target.known, rows.axis) * rows.x)
    if class_weights is not None:
        weights = per_class(check, "class_weights", class_weights, rows)
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
      class_weights: `[C]`, `>= 0`.
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
      TypeError: an argument is a list, `class_weights` are boolean or `labels` not integers.
      ValueError: `class_weights` are not `[C]`.

    Reference:
      None: a table look-up.

    Example:
      >>> labels, class_weights = jnp.array([0, 2, 1, 255]), jnp.array([0.5, 1.0, 4.0])
      >>> print(jaxloss.class_weights_of(labels, class_weights, ignore_label=255))
      [0.5 4.  1.  0. ]
    """
    check = Arguments("class_weights_of")
    given = check.array("class_weights", class_weights)
    check.shape("class_weights", given, (None,), "one weight a class")
    dtype = jnp.float64 if given.dtype == jnp.float64 else jnp.float32
    like = jax.ShapeDtypeStruct(given.shape, dtype)
    weights = check.parameter("class_weights", class_weights, like, at_least=0)
    check.classes(weights.shape, 0)
    y, counted = labels_of(check, labels, check.array("labels", labels).shape, ignore_label)
    (y,) = hide(counted, y)
    target = target_of(y, weights.shape[0], y.ndim, weights.dtype)
    return keep(counted, target.known * target.pick(jnp.expand_dims(weights, range(y.ndim))))
