"""The Lovász extension of the Jaccard loss: convex in the errors, exact where they are 0 and 1."""

import math

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments
from jaxloss._numerics import ratio, relu
from jaxloss._platform import undivided
from jaxloss.segmentation._regions import Axis, Region, agreement, region_of


def lovasz_hinge_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    axis: Axis = (-2, -1),
    where: ArrayLike | None = None,
) -> Array:
    """Lovász extension of the Jaccard loss over the hinge errors of a binary map.

    Formula:
      `sum_k relu(e_k) (J_k - J_(k-1))` over `axis`, with the errors `e = 1 - x (2 y - 1)` sorted in
      descending order, and `J_k = 1 - (n - c_k) / (n + k - c_k)`, `J_0 = 0`, where n is the sum of
      the labels and `c_k` that of the first k.

    Args:
      logits: `[..., H, W]`, log-odds of the foreground.
      labels: `[..., H, W]`, boolean, or 0 and 1.
      axis: the axes of one image: (-2, -1), (-3, -2) with classes last, three for volumes; with
        the batch axis, too, it is one region over the batch.
      where: boolean, `[..., H, W]` with dimensions equal or 1; False removes a pixel.

    Returns:
      `[...]`, without `axis`, in [0, inf).

    Edge cases:
      Piecewise linear: the gradient is the differences of J, constants, with the sign of the label;
      among equal errors they go in the order of the pixels, which does not change the value. An
      error of 0 has derivative 0. Without foreground the loss is the largest hinge error. A region
      that is wholly masked is 0. An integer label other than 0 and 1 gives NaN; a soft label is put
      into the formula as it is, and has no gradient. On a mesh with explicit axes no axis of an
      image may be split.

    Differences:
      The authors' with `per_image=True`, before its mean over images.

    Raises:
      TypeError: an argument is a list, or `logits` are not floating point.
      ValueError: the ranks differ, a dimension is neither equal nor 1, or `axis` is no axis.

    Reference:
      Berman, Triki, Blaschko, "The Lovász-Softmax loss: A tractable surrogate for the optimization
      of the intersection-over-union measure in neural networks", 2017, arXiv 1705.08790.

    Example:
      >>> logits, labels = jnp.array([[2.2, -1.4, 0.8, -0.4]]), jnp.array([[1, 0, 1, 1]])
      >>> print(f"{jaxloss.lovasz_hinge_loss(logits, labels):.4f}")
      0.5333
    """
    check = Arguments("lovasz_hinge_loss")
    region = region_of(check, axis, where, logits=logits, labels=labels)
    return _extension(region, 1 - region.p * (2 * lax.stop_gradient(region.y) - 1))


def lovasz_softmax_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    axis: Axis = (-3, -2),
    where: ArrayLike | None = None,
) -> Array:
    """Lovász extension of the Jaccard loss of every class over the errors of its probabilities.

    Formula:
      `sum_k e_k (J_k - J_(k-1))` over `axis`, with the errors `e = |p - y|` sorted in descending
      order, and `J_k = 1 - (n - c_k) / (n + k - c_k)`, `J_0 = 0`, where n is the sum of the targets
      and `c_k` that of the first k.

    Args:
      predictions: `[..., H, W, C]`, probabilities, of a softmax or not.
      targets: `[..., H, W, C]`, boolean, or 0 and 1.
      axis: the axes of one image: (-3, -2) with classes last, (-2, -1) without classes,
        (-4, -3, -2) for volumes; with the batch axis, too, it is one region over the batch.
      where: boolean, `[..., H, W, C]` with dimensions equal or 1; False removes a pixel.

    Returns:
      `[..., C]`, without `axis`, in [0, 1]. For the mean over the classes that are present:
      `mean(losses, where=present)` with `present = (targets > 0).any((-3, -2))`.

    Edge cases:
      Piecewise linear: the gradient is the differences of J, constants, negative on the class;
      among equal errors they go in the order of the pixels, which does not change the value. The
      derivative of an error at 0 is that inside [0, 1]. An absent class has the largest of its
      probabilities as its loss. A region that is wholly masked is 0. An integer target other than 0
      and 1 gives NaN; a soft target is put into the formula as it is, and has no gradient. On a
      mesh with explicit axes no axis of an image may be split.

    Differences:
      The authors' default is the mean over present classes of one region over the whole batch:
      give `axis` the batch axis, too. Theirs subtracts neighbouring J, which cancels in large
      images; here each difference has all its digits.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the ranks differ, a dimension is neither equal nor 1, or `axis` is no axis.

    Reference:
      Berman, Triki, Blaschko, "The Lovász-Softmax loss: A tractable surrogate for the optimization
      of the intersection-over-union measure in neural networks", 2017, arXiv 1705.08790.

    Example:
      >>> foreground = jnp.array([[0.9, 0.2, 0.7], [0.4, 0.6, 0.1]])
      >>> predictions = jnp.stack([1 - foreground, foreground], -1)
      >>> targets = jax.nn.one_hot(jnp.array([[1, 0, 1], [1, 0, 0]]), 2)
      >>> print(np.array_str(jaxloss.lovasz_softmax_loss(predictions, targets), precision=4))
      [0.39  0.405]
    """
    check = Arguments("lovasz_softmax_loss")
    region = region_of(check, axis, where, predictions=predictions, targets=targets)
    _, excess, missing = agreement(region.p, lax.stop_gradient(region.y))
    return _extension(region, excess + missing)


def _extension(region: Region, errors: Array) -> Array:
    """Positive errors times the steps of the Jaccard loss when errors are taken largest first."""
    if region.mask is not None:
        errors = jnp.where(region.mask, errors, -jnp.inf)
    e, y = _flat(errors, region.axes), _flat(lax.stop_gradient(region.y), region.axes)
    return jnp.sum(_steps(lax.stop_gradient(e), y) * relu(e), -1)


def _steps(errors: Array, y: Array) -> Array:
    """J_k - J_(k-1) at the place of each error; infinitely low ones come last."""
    if errors.dtype != jnp.float32 or not undivided():
        return _steps_by_sorts(errors, y)
    steps: Array = lax.platform_dependent(errors, y, cpu=_steps_by_keys, default=_steps_by_sorts)
    return steps


def _steps_by_sorts(errors: Array, y: Array) -> Array:
    """Errors are sorted together with what belongs to them, and their places sorted back."""
    _, sorted_y, place = lax.sort((-errors, y, _places(y)), num_keys=1)
    return lax.sort((place, _differences(sorted_y)), num_keys=1)[1]


def _steps_by_keys(errors: Array, y: Array) -> Array:
    """Errors and their places are sorted as single integers, several times as fast on a CPU.

    One region after another: what is written on the way stays in the cache.
    """

    def steps(region: tuple[Array, Array]) -> Array:
        errors, y = region
        place = _descending(errors)
        steps = _differences(y.at[place].get(mode="promise_in_bounds"))
        scattered = jnp.zeros_like(steps).at[place]
        placed: Array = scattered.set(steps, mode="promise_in_bounds", unique_indices=True)
        return placed

    shape = math.prod(y.shape[:-1]), y.shape[-1]
    regions = errors.reshape(shape), y.reshape(shape)
    found: Array = lax.map(steps, regions)
    return found.reshape(y.shape)


def _descending(x: Array) -> Array:
    """The places of float32 numbers from high to low, in their order where they are equal."""
    bits = lax.bitcast_convert_type(-jnp.where(x == 0, jnp.zeros_like(x), x), jnp.uint32)
    sign = jnp.uint32(1 << 31)
    rising = jnp.where(bits < sign, bits + sign, ~bits)
    with jax.enable_x64(True):
        keys = (rising.astype(jnp.uint64) << jnp.uint64(32)) + _places(x).astype(jnp.uint64)
        places: Array = lax.sort(keys).astype(jnp.uint32).astype(jnp.int32)
    return places


def _places(y: Array) -> Array:
    line = lax.broadcasted_iota(jnp.int32, (1,) * (y.ndim - 1) + y.shape[-1:], y.ndim - 1)
    return line + jnp.zeros_like(y).astype(jnp.int32)


def _differences(y: Array) -> Array:
    """J_k - J_(k-1) for the labels in the order of their errors.

    Each is written as one fraction, (y_k + (1 - y_k) I_k / U_k) / U_(k-1) with I the
    intersection and U the union that remain, since neighbouring J share most of their digits.
    """
    intersection = jnp.sum(y, -1, keepdims=True) - jnp.cumsum(y, -1)
    union = intersection + (1 + _places(y)).astype(y.dtype)
    before = union - (1 - y)
    steps = ratio(y + (1 - y) * intersection / union, before)
    return jnp.where(before == 0, jnp.ones_like(steps), steps)


def _flat(x: Array, axes: tuple[int, ...]) -> Array:
    """`x` with `axes` made one, the last."""
    x = jnp.moveaxis(x, axes, range(-len(axes), 0))
    batch = x.shape[: x.ndim - len(axes)]
    return x.reshape(*batch, math.prod(x.shape[len(batch) :]))
