"""Losses for classes of very unequal size, and examples of very unequal difficulty."""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, keep
from jaxloss._derivatives import elementwise
from jaxloss._logistic import known_number, logistic, logit, softplus
from jaxloss._numerics import relu
from jaxloss._softmax import log_odds_against, own_and_cost
from jaxloss._sums import sums
from jaxloss._target import Target
from jaxloss.classification._rows import Axis, Rows, blank, cooled, labelled, per_class
from jaxloss.classification.binary import _logits_and_labels, binary_cost
from jaxloss.reduction import AxisName

# More bins than these are counted along an axis of their own: a program grows with each.
MOST_BINS = 32


class SeesawState(NamedTuple):
    """How many examples of each class `seesaw_loss` has seen, `[C]`."""

    counts: Array


class GradientHarmonizedState(NamedTuple):
    """How many gradients of each size `gradient_harmonized_loss` counts, `[bins]`, running."""

    counts: Array


def class_balanced_weights(counts: ArrayLike, *, beta: ArrayLike = 0.9999) -> Array:
    """Weights of classes by the effective number of their examples.

    Formula:
      `w_c` proportional to `(1 - beta) / (1 - beta^n_c)`, with `n` the counts; the weights of the
      classes that have examples sum to the number of these classes.

    Args:
      counts: `[..., C]`, `>= 0`, integers or floating point: the examples of each class.
      beta: in [0, 1], a scalar: 0 weighs all classes alike, 1 by the inverse of their counts. A
        Python number keeps all the digits of `1 - beta`. May be traced.

    Returns:
      `[..., C]`, `>= 0`, float32 at least: `class_weights` of a softmax loss, `alpha` of a focal
      one, or `positive_weight` of a sigmoid one.

    Edge cases:
      A class without examples has weight 0, as if it did not exist. Large counts and a `beta` close
      to 1 lose no digits. Differentiable in floating-point counts above 0.

    Differences:
      The authors' code divides by 0 for a class without examples.

    Raises:
      TypeError: an argument is a list, or `counts` are neither integers nor floating point.
      ValueError: `counts` have no dimension, or `beta` has one.

    Reference:
      Cui, Jia, Lin, Song, Belongie, "Class-Balanced Loss Based on Effective Number of Samples",
      2019, arXiv 1901.05555.

    Example:
      >>> weights = jaxloss.class_balanced_weights(jnp.array([5000, 500, 50]))
      >>> print(np.array_str(weights, precision=4))
      [0.0341 0.2752 2.6907]
    """
    check = Arguments("class_balanced_weights")
    n = check.array("counts", counts)
    (n,) = check.floats(counts=n.astype(jnp.float32) if jnp.issubdtype(n.dtype, jnp.integer) else n)
    check.shape("counts", n, (..., None), "one count a class, along the last axis")
    known = known_number(beta)
    log_beta = jnp.log(check.scalar("beta", beta, n, at_least=0, at_most=1))
    if known is not None:
        log_beta = jnp.full((), math.log(known) if known > 0 else -np.inf, n.dtype)
    # Lower than any logarithm that still makes a difference, so that 0 times it is 0.
    log_beta = jnp.maximum(log_beta, -1e4)
    effective = jnp.where(log_beta == 0, n, -jnp.expm1(n * log_beta))
    some = n > 0
    weights = jnp.where(some, 1 / jnp.where(some, effective, 1), 0)
    total = jnp.sum(weights, -1, keepdims=True)
    classes = jnp.sum(some, -1, keepdims=True, dtype=n.dtype)
    return weights * (classes / jnp.where(total > 0, total, 1))


def logit_adjusted_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    counts: ArrayLike,
    *,
    axis: Axis = -1,
    temperature: ArrayLike = 1.0,
    ignore_label: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Cross-entropy of logits to which the logarithms of the class frequencies are added.

    Formula:
      `-log(softmax(logits + temperature log(counts))_y)` with `y` the label.

    Args:
      logits: `[..., C]`, unnormalised log-probabilities of a world in which classes are equally
        frequent: the balanced classifier that is trained.
      labels: `[...]`, integers in [0, C): the logits' shape without `axis`.
      counts: `[C]`, `>= 0`, the examples of each class, or their probabilities: only the ratios
        matter.
      axis: the axis of the classes; several axes are one long list of classes, and a label counts
        along it in row-major order of the axes as they are given.
      temperature: `>= 0`, a scalar, how much of the frequencies is added; 0 is cross-entropy over
        the classes that have examples. May be traced.
      ignore_label: a label, in or out of range, that makes the loss exactly 0.
      where: boolean, of the result's shape: False makes the loss exactly 0; or of the rank of the
        logits: False removes a class from its row as if it did not exist, and a row without
        classes is exactly 0.

    Returns:
      `[...]`, the labels' shape, in [0, inf) and nats.

    Edge cases:
      Smooth everywhere, and finite with its derivatives for every finite logit. A class without
      examples does not exist: a label that names it, or lies outside [0, C), -1 included, or of a
      removed class gives NaN in value and in gradient unless it is ignored or masked.

    Differences:
      `temperature` multiplies the logarithms of the frequencies, as in the paper; it does not
      divide the logits, as in `softmax_cross_entropy`.

    Raises:
      TypeError: an argument is a list, `logits` are not floating point or `labels` not integers.
      ValueError: `labels` have another shape than the logits without `axis`, `counts` are not
        `[C]`, or `where` has neither shape.

    Reference:
      Menon, Jayasumana, Rawat, Jain, Veit, Kumar, "Long-tail Learning via Logit Adjustment", 2020,
      arXiv 2007.07314.

    Example:
      >>> logits, labels = jnp.array([[1.2, -0.3, 0.5]]), jnp.array([1])
      >>> print(jaxloss.logit_adjusted_cross_entropy(logits, labels, jnp.array([100, 10, 1])))
      [3.8294983]
    """
    check = Arguments("logit_adjusted_cross_entropy")
    (x,) = check.floats(logits=logits)
    rows, target = labelled(check, x, labels, axis, where, ignore_label)
    n = per_class(check, "counts", counts, rows)
    some = n > 0
    temperature = check.scalar("temperature", temperature, x, at_least=0)
    adjustment = temperature * jnp.log(jnp.where(some, n, 1))
    adjusted = jnp.where(some, rows.x + adjustment, -jnp.inf)
    known = jnp.where(target.pick(n) > 0, target.known, jnp.nan)
    return _cost(rows, target._replace(known=known), adjusted)


def ldam_loss(
    cosines: ArrayLike,
    labels: ArrayLike,
    counts: ArrayLike,
    *,
    axis: Axis = -1,
    maximum_margin: ArrayLike = 0.5,
    scale: ArrayLike = 30.0,
    ignore_label: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Label-distribution-aware margin loss (LDAM): the rarer a class, the larger its margin.

    Formula:
      `-log(softmax(scale (cosines - m_y e_y))_y)` with `y` the label, `e_y` 1 at the label and 0
      elsewhere, and `m_c = maximum_margin (n_min / n_c)^(1/4)`, `n` the counts and `n_min` the
      smallest of them.

    Args:
      cosines: `[..., C]`, cosines of normalised features with the normalised columns of the last
        layer, as of `cosface_logits` with margin 0 and scale 1.
      labels: `[...]`, integers in [0, C): the shape of `cosines` without `axis`.
      counts: `[C]`, `>= 0`, the examples of each class; only the ratios matter.
      axis: the axis of the classes; several axes are one long list of classes, and a label counts
        along it in row-major order of the axes as they are given.
      maximum_margin: `>= 0`, the margin of the rarest class, a scalar. May be traced.
      scale: `> 0`, a scalar. May be traced.
      ignore_label: a label, in or out of range, that makes the loss exactly 0.
      where: boolean, of the result's shape: False makes the loss exactly 0; or of the rank of
        `cosines`: False removes a class from its row as if it did not exist, and a row without
        classes is exactly 0.

    Returns:
      `[...]`, the labels' shape, in [0, inf) and nats.

    Edge cases:
      Smooth everywhere, and finite with its derivatives for every finite input, cosine or not. The
      smallest count is taken over classes with examples; a class without has the largest margin. A
      label outside [0, C), -1 included, or of a removed class gives NaN in value and in gradient
      unless it is ignored or masked.

    Differences:
      The authors train it together with class weights that set in late: multiply by
      `class_weights_of(labels, class_balanced_weights(counts))`.

    Raises:
      TypeError: an argument is a list, `cosines` are not floating point or `labels` not integers.
      ValueError: `labels` have another shape than `cosines` without `axis`, `counts` are not
        `[C]`, or `where` has neither shape.

    Reference:
      Cao, Wei, Gaidon, Arechiga, Ma, "Learning Imbalanced Datasets with Label-Distribution-Aware
      Margin Loss", 2019, arXiv 1906.07413.

    Example:
      >>> cosines, labels = jnp.array([[0.3, 0.1, -0.2]]), jnp.array([2])
      >>> print(jaxloss.ldam_loss(cosines, labels, jnp.array([5000, 500, 50])))
      [30.002476]
    """
    check = Arguments("ldam_loss")
    (x,) = check.floats(cosines=cosines)
    rows, target = labelled(check, x, labels, axis, where, ignore_label)
    n = per_class(check, "counts", counts, rows)
    least = jnp.min(jnp.where(n > 0, n, np.finfo(n.dtype).max), initial=np.finfo(n.dtype).max)
    rarity = least / jnp.where(n > 0, n, least)
    largest = check.scalar("maximum_margin", maximum_margin, x, at_least=0)
    margins = largest * jnp.sqrt(jnp.sqrt(rarity))
    shifted = rows.x - jnp.where(target.at, margins, 0)
    return _cost(rows, target, check.scalar("scale", scale, x, above=0) * shifted)


def seesaw_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    state: SeesawState,
    *,
    axis: Axis = -1,
    mitigation: ArrayLike = 0.8,
    compensation: ArrayLike = 2.0,
    minimum_score: ArrayLike = 0.01,
    temperature: ArrayLike = 1.0,
    axis_name: AxisName = None,
    ignore_label: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> tuple[Array, SeesawState]:
    """Cross-entropy that spares rare classes the gradients of frequent ones (Seesaw).

    Formula:
      `-log(exp(z_y) / (exp(z_y) + sum_{j != y} M_j C_j exp(z_j)))` with `y` the label,
      `M_j = min(N_j / N_y, 1)^mitigation`,
      `C_j = max(s_j / max(s_y, minimum_score), 1)^compensation`, `s = softmax(z)`,
      `z = logits / temperature`, and `N` the examples of each class seen so far, these included,
      and at least 1.

    Args:
      logits: `[..., C]`, unnormalised log-probabilities.
      labels: `[...]`, integers in [0, C): the logits' shape without `axis`.
      state: from `seesaw_init(C)`, afterwards from the call before.
      axis: the axis of the classes; several axes are one long list of classes, and a label counts
        along it in row-major order of the axes as they are given.
      mitigation: `>= 0`, a scalar, the paper's p. May be traced.
      compensation: `>= 0`, a scalar, the paper's q. May be traced.
      minimum_score: `> 0`, a scalar, below which the label's score is not divided by. May be
        traced.
      temperature: `> 0`, a scalar that divides the logits. May be traced.
      axis_name: mesh or `vmap` axes over which the batch is split: new counts are added over them,
        so that all replicas have the same state.
      ignore_label: a label, in or out of range, that makes the loss exactly 0, and is not counted.
      where: boolean, of the result's shape: False makes the loss exactly 0, and its label is not
        counted; or of the rank of the logits: False removes a class from its row as if it did not
        exist, and a row without classes is exactly 0.

    Returns:
      The losses, `[...]`, the labels' shape, in [0, inf) and nats; and the new state.

    Edge cases:
      `M` and `C` are held constant under differentiation by the logits. Finite with its derivatives
      for every finite logit. A label outside [0, C), -1 included, or of a removed class gives NaN
      in value and in gradient unless it is ignored or masked, and is not counted. Counts are
      float32: beyond 16 million, single examples no longer add to one.

    Differences:
      mmdetection's is a module that holds the counts, with a second logit pair for objectness
      beside the classes, which is not part of this loss.

    Raises:
      TypeError: an argument is a list, `logits` are not floating point, `labels` not integers, or
        `state` is not one.
      ValueError: `labels` have another shape than the logits without `axis`, the state has another
        number of classes, or `where` has neither shape.

    Reference:
      Wang, Zhang, Zang, Cao, Pang, Gong, Chen, Liu, Loy, Lin, "Seesaw Loss for Long-Tailed Instance
      Segmentation", 2020, arXiv 2008.10032.

    Example:
      >>> logits, labels = jnp.array([[1.2, -0.3, 0.5]]), jnp.array([0])
      >>> losses, state = jaxloss.seesaw_loss(logits, labels, jaxloss.seesaw_init(3))
      >>> print(np.array_str(losses, precision=4), state.counts)
      [0.5422] [1. 0. 0.]
    """
    check = Arguments("seesaw_loss")
    (x,) = check.floats(logits=logits)
    x = cooled(check, x, temperature)
    rows, target = labelled(check, x, labels, axis, where, ignore_label)
    old = _counts(check, state, SeesawState, "seesaw_init")
    per_class(check, "state.counts", old, rows)
    counted = target.at if rows.mask is None else target.at & jnp.expand_dims(rows.mask, rows.axis)
    batch_axes = [i for i in range(counted.ndim) if i != rows.axis]
    new = old + _added(jnp.sum(counted, batch_axes, dtype=jnp.int32), axis_name).astype(old.dtype)

    N = jnp.log(jnp.maximum(per_class(check, "state.counts", new, rows), 1))
    logits = lax.stop_gradient(rows.x)
    own, cost = own_and_cost(logits, target)
    floor = jnp.log(check.scalar("minimum_score", minimum_score, x, above=0))
    fewer = relu(jnp.expand_dims(target.pick(N), rows.axis) - N)
    M = -check.scalar("mitigation", mitigation, x, at_least=0) * fewer
    above = logits - own - relu(cost + floor)
    C = check.scalar("compensation", compensation, x, at_least=0) * relu(above)
    return _cost(rows, target, rows.x + M + C), SeesawState(new)


def seesaw_init(classes: int) -> SeesawState:
    """The state of `seesaw_loss` before the first batch: no example of any class.

    Formula:
      `counts = 0` for every class.

    Args:
      classes: how many classes there are, a Python integer.

    Returns:
      A state with `counts` `[classes]`, float32; carry it through `jax.lax.scan`, and save it with
      the parameters.

    Edge cases:
      Without classes it is empty.

    Differences:
      mmdetection's module keeps the counts as a buffer.

    Raises:
      TypeError: `classes` is not an integer.
      ValueError: `classes` is negative.

    Reference:
      Wang, Zhang, Zang, Cao, Pang, Gong, Chen, Liu, Loy, Lin, "Seesaw Loss for Long-Tailed Instance
      Segmentation", 2020, arXiv 2008.10032.

    Example:
      >>> print(jaxloss.seesaw_init(3).counts)
      [0. 0. 0.]
    """
    return SeesawState(jnp.zeros(Arguments("seesaw_init").count("classes", classes), jnp.float32))


def gradient_harmonized_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    state: GradientHarmonizedState,
    *,
    momentum: ArrayLike = 0.0,
    axis_name: AxisName = None,
    where: ArrayLike | None = None,
) -> tuple[Array, GradientHarmonizedState]:
    """Binary cross-entropy, less where many examples have a gradient of the same size (GHM-C).

    Formula:
      `N / (R_b B) BCE(x, y)` with `b` the bin of `g = |sigmoid(x) - y|` among equal bins of
      [0, 1], `N` the number of elements, `B` the number of bins with elements, and
      `R = momentum R + (1 - momentum) n` the running count of a bin with `n > 0` elements.

    Args:
      logits: `[...]`, log-odds `x` of a yes.
      labels: `[...]`, boolean, integers 0 and 1, or floating point in [0, 1] (soft labels) `y`.
      state: from `gradient_harmonized_init(bins)`, afterwards from the call before. It fixes the
        number of bins.
      momentum: in [0, 1), a scalar: 0 counts this batch alone. The authors train with 0.75 and 30
        bins. May be traced.
      axis_name: mesh or `vmap` axes over which the batch is split: counts are added over them, so
        that all replicas weigh alike and have the same state.
      where: boolean `[...]`; False makes the loss exactly 0, and the element is not counted.

    Returns:
      The losses, `[...]` in [0, inf), of which `mean` with the same `where` is the authors' loss;
      and the new state.

    Edge cases:
      The weights are held constant under differentiation by the logits and labels. A bin without
      elements keeps its running count. With a momentum the first counts are small, `1 - momentum`
      of a batch, and the first weights large, as in the authors' code. An integer label other than
      0 and 1 gives NaN in value and in gradient.

    Differences:
      The authors' code and mmdetection's hold the running counts in the module, and return the mean
      over all elements.

    Raises:
      TypeError: an argument is a list, `logits` are not floating point, or `state` is not one.
      ValueError: the ranks differ, or a dimension is neither equal nor 1.

    Reference:
      Li, Liu, Wang, "Gradient Harmonized Single-Stage Detector", 2018, arXiv 1811.05181.

    Example:
      >>> logits, labels = jnp.array([2.0, 1.5, 0.3, -3.0]), jnp.array([1, 1, 1, 0])
      >>> state = jaxloss.gradient_harmonized_init(10)
      >>> losses, state = jaxloss.gradient_harmonized_loss(logits, labels, state)
      >>> print(f"{jaxloss.mean(losses):.4f}", state.counts)
      0.2557 [1. 2. 0. 0. 1. 0. 0. 0. 0. 0.]
    """
    check = Arguments("gradient_harmonized_loss")
    x, y, mask = _logits_and_labels(check, "logits", logits, labels, where)
    x, y = jnp.broadcast_arrays(x, y)
    old = _counts(check, state, GradientHarmonizedState, "gradient_harmonized_init")
    running = old.astype(np.promote_types(old.dtype, x.dtype))
    momentum = check.scalar("momentum", momentum, running, at_least=0, below=1)
    bins = running.shape[0]
    places = _bins_of(x, y, mask, bins)
    weights, running = _harmonized(_added(_tally(places, bins), axis_name), running, momentum)
    losses = _weight_of(weights, places).astype(x.dtype) * elementwise(binary_cost)(x, y)
    return keep(mask, losses), GradientHarmonizedState(running.astype(old.dtype))


def gradient_harmonized_init(bins: int = 10) -> GradientHarmonizedState:
    """The state of `gradient_harmonized_loss` before the first batch: nothing in any bin.

    Formula:
      `counts = 0` for every bin.

    Args:
      bins: into how many equal parts gradients between 0 and 1 are counted, a Python integer.

    Returns:
      A state with `counts` `[bins]`, float32; carry it through `jax.lax.scan`, and save it with the
      parameters.

    Edge cases:
      Without bins every loss is 0.

    Differences:
      The authors' code and mmdetection's keep the counts in the module; 10 bins are their default,
      and 30 what the authors train with.

    Raises:
      TypeError: `bins` is not an integer.
      ValueError: `bins` is negative.

    Reference:
      Li, Liu, Wang, "Gradient Harmonized Single-Stage Detector", 2018, arXiv 1811.05181.

    Example:
      >>> print(jaxloss.gradient_harmonized_init(4).counts)
      [0. 0. 0. 0.]
    """
    bins = Arguments("gradient_harmonized_init").count("bins", bins)
    return GradientHarmonizedState(jnp.zeros(bins, jnp.float32))


def _cost(rows: Rows, target: Target, logits: Array) -> Array:
    """Cross-entropy of `logits` made from `rows.x`, without what its masks remove."""
    logits = blank(rows, logits, -jnp.inf)
    losses = softplus(log_odds_against(logits, target))
    return keep(rows.mask, target.known * losses)


def _bins_of(x: Array, y: Array, mask: Array | None, bins: int) -> Array:
    """The bin of each gradient, counted from 0; -1 where it is NaN or the mask is False.

    They are small integers since GPUs write them, instead of taking the exponentials twice.
    """
    x, y = lax.stop_gradient((x, y))
    p, n = logistic(logit(x))
    gradients = jnp.abs(y * n - (1 - y) * p)
    counted = gradients >= 0 if mask is None else mask & (gradients >= 0)
    places = jnp.clip(jnp.floor(gradients * bins), 0, bins - 1)
    return jnp.where(counted, places, -1).astype(jnp.int8 if bins < 128 else jnp.int32)


def _tally(places: Array, bins: int) -> Array:
    """How many there are of each bin."""
    axes = tuple(range(places.ndim))
    if not 0 < bins <= MOST_BINS:
        return jnp.sum(_columns(places, bins), axes, dtype=jnp.int32)
    return jnp.stack(sums(tuple((places == i).astype(jnp.int32) for i in range(bins)), axes))


def _weight_of(weights: Array, places: Array) -> Array:
    """The weight of the bin at each place, and 0 where there is none."""
    bins = weights.shape[0]
    if bins > MOST_BINS:
        return jnp.sum(jnp.where(_columns(places, bins), weights, 0), -1)
    found = jnp.zeros(places.shape, weights.dtype)
    for i in range(bins):
        found = jnp.where(places == i, weights[i], found)
    return found


def _columns(places: Array, bins: int) -> Array:
    """Whether each place is of each bin, along a last axis."""
    shape = (*[1] * places.ndim, bins)
    return jnp.expand_dims(places, -1) == lax.broadcasted_iota(places.dtype, shape, places.ndim)


def _harmonized(found: Array, running: Array, momentum: Array) -> tuple[Array, Array]:
    """Weights of bins against how much is found in them, and the new running counts."""
    some, number = found > 0, found.astype(running.dtype)
    running = jnp.where(some, momentum * running + (1 - momentum) * number, running)
    harmony = jnp.sum(number) / jnp.maximum(jnp.sum(some, dtype=running.dtype), 1)
    return jnp.where(some, harmony / jnp.where(some, running, 1), 0), running


def _added(counts: Array, axis_name: AxisName) -> Array:
    return counts if axis_name is None else lax.psum(counts, axis_name)


def _counts(check: Arguments, state: Any, kind: type[Any], made_by: str) -> Array:
    """The counts of a state, as floats."""
    check.state(state, kind, made_by)
    (counts,) = check.floats(**{"state.counts": state.counts})
    check.shape("state.counts", counts, (None,), f"as `{made_by}` makes them")
    return counts
