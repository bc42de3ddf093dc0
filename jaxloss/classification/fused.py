"""Cross-entropy of logits that are never all in memory: a linear layer and its loss in one."""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, hide, keep
from jaxloss._logistic import known_number, logit, softplus
from jaxloss._target import in_range, labels_of, one_or_nan


def fused_linear_cross_entropy(
    features: ArrayLike,
    kernel: ArrayLike,
    labels: ArrayLike,
    *,
    bias: ArrayLike | None = None,
    label_smoothing: ArrayLike = 0.0,
    ignore_label: ArrayLike | None = None,
    temperature: ArrayLike = 1.0,
    chunk_size: int = 1024,
    axis_name: str | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Cross-entropy of a linear layer's softmax with one right class, without its logits in memory.

    Formula:
      `-(1 - e) log(p_y) - e / C sum_c log(p_c)` with
      `p = softmax((features kernel + bias) / temperature)`, `y` the label and `e` the
      `label_smoothing`.

    Args:
      features: `[..., D]`, what the layer is applied to.
      kernel: `[D, C]`, the layer's weights; under `axis_name`, this device's columns of them.
      labels: `[...]`, integers in [0, C): the features' shape without the last axis; under
        `axis_name`, they count the classes of all devices.
      bias: `[C]`; 0 by default.
      label_smoothing: in [0, 1], a scalar, the share of the label that is spread evenly over all
        classes. May be traced.
      ignore_label: a label, in or out of range, that makes the loss exactly 0.
      temperature: `> 0`, a scalar that divides the logits. May be traced.
      chunk_size: how many classes are computed with at once, a static whole number > 0.
      axis_name: the mesh axis over which the classes are divided, in order and evenly, inside
        `jax.shard_map`. Features and labels are the same on all its devices.
      where: boolean, of the result's shape; False makes the loss exactly 0.

    Returns:
      `[...]`, the labels' shape, in [0, inf) and nats. Equal to
      `softmax_cross_entropy_with_integer_labels(features @ kernel + bias, labels)`.

    Edge cases:
      Smooth everywhere. A label outside [0, C), -1 included, gives NaN in value and in gradient
      unless it is ignored or masked. Memory beyond the inputs and their gradients is
      `2 chunk_size` numbers an example; the gradient computes the logits a second time.
      Reverse mode alone: this is the one function with a `custom_vjp`, for its memory; of the
      gradient, every derivative is there. Inside `jax.shard_map`, the gradient with `axis_name` is
      right only under `check_vma=True` (the default).

    Differences:
      Implementations that keep the exponentials of all logits for the gradient save the layer's
      output, not the memory; there is no z-loss here.

    Raises:
      TypeError: an argument is a list, `features` are not floating point or `labels` not integers.
      ValueError: `kernel` is not `[D, C]`, `labels` have another shape than the features without
        the last axis, `bias` is not `[C]`, or `chunk_size` is 0.

    Reference:
      Milakov, Gimelshein, "Online normalizer calculation for softmax", 2018, arXiv 1805.02867.

    Example:
      >>> features, kernel = jnp.array([[1.0, 2.0]]), jnp.array([[1.2, -0.3, 0.5], [0.0, 0.0, 0.0]])
      >>> losses = jaxloss.fused_linear_cross_entropy(features, kernel, jnp.array([0]))
      >>> print(np.array_str(losses, precision=4))
      [0.5422]
    """
    check = Arguments("fused_linear_cross_entropy")
    layer, mask, y = _layer(check, features, kernel, bias, labels, ignore_label, where)
    divisor = check.scalar("temperature", temperature, layer.features, above=0)
    layer = layer._replace(features=layer.features / divisor, bias=layer.bias / divisor)
    size = check.count("chunk_size", chunk_size, "how many classes come at once")
    if size == 0:
        raise ValueError(f"`{check.function}`: `chunk_size` is 0, expected 1 or more")
    classes = layer.kernel.shape[1]
    size, first = min(size, classes), jnp.zeros((), y.dtype)
    if axis_name is not None:
        # Else its gradient would not be added over the devices.
        layer = layer._replace(features=lax.pcast(layer.features, axis_name, to="varying"))
        first = (lax.axis_index(axis_name) * classes).astype(y.dtype)
        classes *= lax.axis_size(axis_name)
    log_odds, gap = _against_the_label(layer, y - first, size, axis_name)
    losses = softplus(logit(log_odds))
    if known_number(label_smoothing) != 0:
        smoothing = check.scalar("label_smoothing", label_smoothing, losses, at_least=0, at_most=1)
        losses = losses + smoothing * gap
    return keep(mask, one_or_nan(in_range(y, classes), losses.dtype) * losses)


class Layer(NamedTuple):
    """A linear layer and what it is applied to."""

    features: Array
    kernel: Array
    bias: Array


class Sums(NamedTuple):
    """What a row needs of its logits: of all classes but the label's, the highest logit and the sum
    of exp(logit - highest); the label's logit; the sum of all."""

    highest: Array
    total: Array
    label: Array
    all: Array


def _layer(
    check: Arguments,
    features: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None,
    labels: ArrayLike,
    ignore_label: ArrayLike | None,
    where: ArrayLike | None,
) -> tuple[Layer, Array | None, Array]:
    """The layer without masked rows, the mask, and the labels. The kernel keeps its dtype."""
    x, wide = check.floats(features=features, kernel=kernel)
    check.shape("features", x, (..., None), "examples of D features")
    dimensions = x.shape[-1]
    check.shape(
        "kernel", wide, (dimensions, None), "features by classes, as in `features @ kernel`"
    )
    check.classes(wide.shape, 1)
    classes = wide.shape[1]
    zeros = jnp.sum(jnp.zeros_like(wide[:1]), 0)  # without features, too, and split as the kernel
    (b,) = check.floats(bias=zeros if bias is None else bias)
    check.shape("bias", b, (classes,), "one number a class")
    y, counted = labels_of(check, labels, x.shape[:-1], ignore_label)
    mask = check.where(where, x.shape[:-1])
    if counted is not None:
        mask = counted if mask is None else counted & mask
    (y,) = hide(mask, y)
    (x,) = hide(None if mask is None else mask[..., None], x)
    return Layer(x, check.array("kernel", kernel), b.astype(x.dtype)), mask, y


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _against_the_label(
    layer: Layer, labels: Array, size: int, axis_name: str | None
) -> tuple[Array, Array]:
    """Log-odds of all other classes together against the label's, and its logit less the mean."""
    return _forward(layer, labels, size, axis_name)[0]


def _forward(
    layer: Layer, labels: Array, size: int, axis_name: str | None
) -> tuple[tuple[Array, Array], tuple[Layer, Array, Array, int]]:
    def add(number: int | Array, sums: Sums) -> Sums:
        return _together(sums, _sums(layer, labels, number, size))

    first = _sums(layer, labels, 0, size)
    sums = lax.fori_loop(1, _chunks(layer, size), add, first)
    classes = layer.kernel.shape[1]
    if axis_name is not None:
        sums = _over_devices(sums, axis_name)
        classes *= lax.axis_size(axis_name)
    others = sums.highest + jnp.log(sums.total)
    log_odds = jnp.maximum(others - sums.label, np.finfo(others.dtype).min)
    return (log_odds, sums.label - sums.all / classes), (layer, labels, others, classes)


def _backward(
    size: int,
    axis_name: str | None,
    residuals: tuple[Layer, Array, Array, int],
    cotangents: tuple[Array, Array],
) -> tuple[Layer, None]:
    layer, labels, others, classes = residuals
    odds, gap = (cotangent[..., None] for cotangent in cotangents)

    def add(number: int | Array, gradient: Layer) -> Layer:
        x, pull = jax.vjp(_logits, _chunk(layer, number, size))
        at_label, counted = _places(labels, number, size, layer.kernel.shape[1])
        share = jnp.where(at_label, -1, jnp.exp(x - others[..., None]))
        slope = odds * share + gap * (at_label.astype(x.dtype) - 1 / classes)
        (found,) = pull(jnp.where(counted, slope, jnp.zeros((), x.dtype)))
        return _add_chunk(gradient, number, found)

    zeros = Layer(*(jnp.zeros_like(array) for array in layer))
    return lax.fori_loop(1, _chunks(layer, size), add, add(0, zeros)), None


_against_the_label.defvjp(_forward, _backward)


def _chunks(layer: Layer, size: int) -> int:
    return math.ceil(layer.kernel.shape[1] / size)


def _chunk(layer: Layer, number: int | Array, size: int) -> Layer:
    """The layer with the classes of one chunk; the last one starts early enough to be whole."""
    kernel = lax.dynamic_slice_in_dim(layer.kernel, number * size, size, 1)
    return Layer(layer.features, kernel, lax.dynamic_slice_in_dim(layer.bias, number * size, size))


def _add_chunk(layer: Layer, number: int | Array, chunk: Layer) -> Layer:
    """`layer` with a chunk added in its place."""
    start = number * chunk.bias.shape[0]
    before = _chunk(layer, number, chunk.bias.shape[0])
    features, kernel, bias = (a + b for a, b in zip(before, chunk, strict=True))
    return Layer(
        features,
        lax.dynamic_update_slice_in_dim(layer.kernel, kernel, start, 1),
        lax.dynamic_update_slice_in_dim(layer.bias, bias, start, 0),
    )


def _logits(layer: Layer) -> Array:
    x = jnp.matmul(layer.features, layer.kernel.astype(layer.features.dtype))
    return x + jnp.expand_dims(layer.bias, range(x.ndim - 1))


def _places(labels: Array, number: int | Array, size: int, classes: int) -> tuple[Array, Array]:
    """Where a chunk has the label's class, and which of its classes no earlier chunk had."""
    earlier = jnp.asarray(number * size, labels.dtype)
    places = jnp.arange(size, dtype=labels.dtype) + jnp.minimum(earlier, classes - size)
    places = jnp.expand_dims(places, range(labels.ndim))
    return places == labels[..., None], places >= earlier


def _sums(layer: Layer, labels: Array, number: int | Array, size: int) -> Sums:
    x = _logits(_chunk(layer, number, size))
    at_label, counted = _places(labels, number, size, layer.kernel.shape[1])
    zero, low = jnp.zeros((), x.dtype), np.finfo(x.dtype).min
    others = jnp.where(at_label | ~counted, -jnp.inf, x)
    highest = jnp.max(others, -1, initial=low)
    return Sums(
        highest,
        jnp.sum(jnp.exp(others - highest[..., None]), -1),
        jnp.sum(jnp.where(at_label & counted, x, zero), -1),
        jnp.sum(jnp.where(counted, x, zero), -1),
    )


def _together(a: Sums, b: Sums) -> Sums:
    highest = jnp.maximum(a.highest, b.highest)
    total = a.total * jnp.exp(a.highest - highest) + b.total * jnp.exp(b.highest - highest)
    return Sums(highest, total, a.label + b.label, a.all + b.all)


def _over_devices(sums: Sums, axis_name: str) -> Sums:
    highest = lax.pmax(sums.highest, axis_name)
    total = sums.total * jnp.exp(sums.highest - highest)
    return Sums(highest, *lax.psum((total, sums.label, sums.all), axis_name))
