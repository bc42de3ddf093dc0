"""Losses of a whole region: how far a predicted map and a target map are from covering the same.

One fraction is behind all of them, `cost / (cost + overlap)`, where the cost weighs what is
predicted beyond the target (false positives) against what is missed of it (false negatives).
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from jaxloss import reduction
from jaxloss._arguments import Arguments
from jaxloss._numerics import ratio, relu
from jaxloss._sums import sums
from jaxloss.segmentation._regions import (
    Axis,
    Region,
    agreement,
    class_axis_of,
    fraction,
    power,
    region_of,
)

SCALE = 2.0**32


def dice_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    axis: Axis = (-3, -2),
    smooth: ArrayLike = 0.0,
    squared: bool = False,
    where: ArrayLike | None = None,
) -> Array:
    """One minus the Dice coefficient of every predicted region with its target.

    Formula:
      `1 - (2 TP + s) / (2 TP + FP + FN + s)` with `TP = sum min(p, y)`, `FP = sum relu(p - y)`,
      `FN = sum relu(y - p)` over `axis` and `s = smooth`; `2 TP + FP + FN = sum p + sum y`.
      Squared: `1 - (2 sum p y + s) / (sum p^2 + sum y^2 + s)`.

    Args:
      predictions: `[..., H, W, C]`, probabilities.
      targets: `[..., H, W, C]`, boolean, integers 0 and 1, or floating point in [0, 1].
      axis: the axes of one image: (-3, -2) with classes last, (-2, -1) without classes,
        (-4, -3, -2) for volumes; with the batch axis, too, it is one region over the batch.
      smooth: `>= 0`, in pixels, added above and below: a scalar, or of the shape of the result.
        May be traced.
      squared: True takes the squared form. A static bool.
      where: boolean, `[..., H, W, C]` with dimensions equal or 1; False removes a pixel.

    Returns:
      `[..., C]`, without `axis`, in [0, 1]. The relative precision is the same for a loss of
      1e-20 as for 1.

    Edge cases:
      Hard targets (0 or 1) make `TP = sum p y`, `FP = sum p (1 - y)` and `FN = sum (1 - p) y`, with
      their derivatives everywhere, `p` of 0 and 1 included. Soft targets are met at `p = y`, where
      the derivatives of the sums are the means of both sides'. Empty predictions on an empty target
      are a loss of 0 with gradient 0, and so is a region that is wholly masked; any other
      predictions on an empty target are a loss of 1 without `smooth`. An integer target other than
      0 and 1 gives NaN.

    Differences:
      optax's function of this name takes logits, has `smooth=1` and reduces to one number. MONAI
      has 1e-5 above and below; segmentation_models.pytorch pools the batch, and a class without
      a true pixel is always 0 there; kornia's and MMDetection's epsilon make a perfect match or
      an empty pair differ from 0; MMDetection squares the denominators by default. The product
      `sum p y` of soft targets, which most take, is not met at `p = y`.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the ranks differ, a dimension is neither equal nor 1, or `axis` is no axis.

    Reference:
      Dice, "Measures of the Amount of Ecologic Association Between Species", 1945; Milletari,
      Navab, Ahmadi, "V-Net: Fully Convolutional Neural Networks for Volumetric Medical Image
      Segmentation", 2016, arXiv 1606.04797 (the squared form).

    Example:
      >>> predictions = jnp.array([[[0.9], [0.2], [0.7]], [[0.4], [0.6], [0.1]]])
      >>> targets = jnp.array([[[1], [0], [1]], [[1], [0], [0]]])
      >>> print(np.array_str(jaxloss.dice_loss(predictions, targets), precision=4))
      [0.322]
    """
    check = Arguments("dice_loss")
    region = region_of(check, axis, where, predictions=predictions, targets=targets)
    if not check.switch("squared", squared):
        return _tversky(check, region, 0.5, 0.5, smooth, 0.5)
    # A power of two, which is exact, keeps squares of small probabilities in the range of float32.
    p, y = region.p * SCALE, region.y * SCALE
    distance, product = sums((jnp.square(p - y), p * y), region.axes)
    smooth = SCALE**2 * check.parameter("smooth", smooth, product, at_least=0)
    return fraction(distance, 2 * product + smooth)


def generalized_dice_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    axis: Axis = (-3, -2),
    class_axis: int = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Dice loss of all classes together, each weighted by its inverse squared size.

    Formula:
      `1 - 2 sum_c w_c TP_c / sum_c w_c (sum p_c + sum y_c)` with `w_c = 1 / (sum y_c)^2` and
      `TP = sum min(p, y)` over `axis`.

    Args:
      predictions: `[..., H, W, C]`, probabilities.
      targets: `[..., H, W, C]`, boolean, integers 0 and 1, or floating point in [0, 1].
      axis: the axes of one image: (-3, -2) with classes last, (-4, -3, -2) for volumes.
      class_axis: the axis of the classes.
      where: boolean, `[..., H, W, C]` with dimensions equal or 1; False removes a pixel.

    Returns:
      `[...]`, without `axis` and `class_axis`, in [0, 1]. The relative precision is the same for a
      loss of 1e-20 as for 1.

    Edge cases:
      A class without a target has the weight of the smallest class that has one, and without any
      all weigh 1. The weights are constants under differentiation; derivatives are else those of
      `dice_loss`. Empty predictions on empty targets are 0 with gradient 0, and so is an image
      that is wholly masked. An integer target other than 0 and 1 gives NaN.

    Differences:
      MONAI gives an absent class the same weight, per image. optax's
      `multiclass_generalized_dice_loss` adds 1e-7 to the squared frequency, so that an absent
      class outweighs every present one, and pools the batch; the boundary loss's authors add
      1e-10.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the ranks differ, a dimension is neither equal nor 1, `axis` is no axis, or
        `class_axis` is among them.

    Reference:
      Sudre, Li, Vercauteren, Ourselin, Cardoso, "Generalised Dice overlap as a deep learning loss
      function for highly unbalanced segmentations", 2017, arXiv 1707.03237.

    Example:
      >>> foreground = jnp.array([[0.9, 0.2, 0.7], [0.4, 0.6, 0.1]])
      >>> predictions = jnp.stack([1 - foreground, foreground], -1)
      >>> targets = jax.nn.one_hot(jnp.array([[1, 0, 1], [1, 1, 0]]), 2)
      >>> print(f"{jaxloss.generalized_dice_loss(predictions, targets):.4f}")
      0.3114
    """
    check = Arguments("generalized_dice_loss")
    region = region_of(check, axis, where, predictions=predictions, targets=targets)
    classes = _result_axis(class_axis_of(check, class_axis, region), region)
    shared, excess, missing = agreement(region.p, region.y)
    terms = (shared, 0.5 * (excess + missing), region.y)
    shared, cost, sizes = sums(terms, region.axes)
    weights = _inverse_square_sizes(sizes, classes)
    return fraction(jnp.sum(weights * cost, classes), jnp.sum(weights * shared, classes))


def jaccard_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    axis: Axis = (-3, -2),
    smooth: ArrayLike = 0.0,
    where: ArrayLike | None = None,
) -> Array:
    """One minus the intersection over union of every predicted region with its target.

    Formula:
      `1 - (TP + s) / (TP + FP + FN + s)` with `TP = sum min(p, y)`, `FP = sum relu(p - y)`,
      `FN = sum relu(y - p)` over `axis` and `s = smooth`; `TP + FP + FN = sum max(p, y)`.

    Args:
      predictions: `[..., H, W, C]`, probabilities.
      targets: `[..., H, W, C]`, boolean, integers 0 and 1, or floating point in [0, 1].
      axis: the axes of one image: (-3, -2) with classes last, (-2, -1) without classes,
        (-4, -3, -2) for volumes; with the batch axis, too, it is one region over the batch.
      smooth: `>= 0`, in pixels, added above and below: a scalar, or of the shape of the result.
        May be traced.
      where: boolean, `[..., H, W, C]` with dimensions equal or 1; False removes a pixel.

    Returns:
      `[..., C]`, without `axis`, in [0, 1]. The relative precision is the same for a loss of
      1e-20 as for 1.

    Edge cases:
      Those of `dice_loss`: derivatives of the products for hard targets, the means of both
      sides' where soft targets are met, 0 with gradient 0 for empty predictions on an empty target
      and for a region that is wholly masked. An integer target other than 0 and 1 gives NaN.

    Differences:
      MONAI's form doubles both terms, so that its smoothing counts half. With soft targets
      `sum p y` over `sum p + sum y - sum p y`, which most take, is not met at `p = y`.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the ranks differ, a dimension is neither equal nor 1, or `axis` is no axis.

    Reference:
      Jaccard, "The Distribution of the Flora in the Alpine Zone", 1912.

    Example:
      >>> predictions = jnp.array([[[0.9], [0.2], [0.7]], [[0.4], [0.6], [0.1]]])
      >>> targets = jnp.array([[[1], [0], [1]], [[1], [0], [0]]])
      >>> print(np.array_str(jaxloss.jaccard_loss(predictions, targets), precision=4))
      [0.4872]
    """
    check = Arguments("jaccard_loss")
    region = region_of(check, axis, where, predictions=predictions, targets=targets)
    return _tversky(check, region, 1.0, 1.0, smooth)


def tversky_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    alpha: ArrayLike = 0.3,
    beta: ArrayLike = 0.7,
    axis: Axis = (-3, -2),
    smooth: ArrayLike = 0.0,
    where: ArrayLike | None = None,
) -> Array:
    """One minus the Tversky index: overlap against weighted false positives and negatives.

    Formula:
      `1 - (TP + s) / (TP + alpha FP + beta FN + s)` with `TP = sum min(p, y)`,
      `FP = sum relu(p - y)`, `FN = sum relu(y - p)` over `axis` and `s = smooth`.

    Args:
      predictions: `[..., H, W, C]`, probabilities.
      targets: `[..., H, W, C]`, boolean, integers 0 and 1, or floating point in [0, 1].
      alpha: `>= 0`, the weight of false positives: a scalar, a vector along the last axis of the
        result (the classes), or of its shape. May be traced.
      beta: `>= 0`, the weight of false negatives. Shapes as for `alpha`.
      axis: the axes of one image: (-3, -2) with classes last, (-2, -1) without classes,
        (-4, -3, -2) for volumes; with the batch axis, too, it is one region over the batch.
      smooth: `>= 0`, in pixels, added above and below. Shapes as for `alpha`.
      where: boolean, `[..., H, W, C]` with dimensions equal or 1; False removes a pixel.

    Returns:
      `[..., C]`, without `axis`, in [0, 1]. The relative precision is the same for a loss of
      1e-20 as for 1.

    Edge cases:
      Those of `dice_loss`: derivatives of the products for hard targets, the means of both
      sides' where soft targets are met, 0 with gradient 0 for empty predictions on an empty target
      and for a region that is wholly masked. An integer target other than 0 and 1 gives NaN.

    Differences:
      `alpha = beta = 0.5` is `dice_loss`, `alpha = beta = 1` is `jaccard_loss`. MONAI's defaults
      are 0.5 and 0.5. kornia's pools the classes, where false positives and negatives of a
      softmax are the same number, so that only `alpha + beta` matters. Keras had the two swapped.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the ranks differ, a dimension is neither equal nor 1, `axis` is no axis, or a
        weight does not fit the result.

    Reference:
      Salehi, Erdogmus, Gholipour, "Tversky loss function for image segmentation using 3D fully
      convolutional deep networks", 2017, arXiv 1706.05721.

    Example:
      >>> predictions = jnp.array([[[0.9], [0.2], [0.7]], [[0.4], [0.6], [0.1]]])
      >>> targets = jnp.array([[[1], [0], [1]], [[1], [0], [0]]])
      >>> print(np.array_str(jaxloss.tversky_loss(predictions, targets), precision=4))
      [0.3266]
    """
    check = Arguments("tversky_loss")
    region = region_of(check, axis, where, predictions=predictions, targets=targets)
    return _tversky(check, region, alpha, beta, smooth)


def focal_tversky_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    alpha: ArrayLike = 0.3,
    beta: ArrayLike = 0.7,
    gamma: ArrayLike = 4 / 3,
    axis: Axis = (-3, -2),
    smooth: ArrayLike = 0.0,
    where: ArrayLike | None = None,
) -> Array:
    """Tversky loss to the power 1 / gamma, which is steeper the closer a region is to its target.

    Formula:
      `L^(1 / gamma)` with `L = 1 - (TP + s) / (TP + alpha FP + beta FN + s)`,
      `TP = sum min(p, y)`, `FP = sum relu(p - y)`, `FN = sum relu(y - p)` over `axis` and
      `s = smooth`.

    Args:
      predictions: `[..., H, W, C]`, probabilities.
      targets: `[..., H, W, C]`, boolean, integers 0 and 1, or floating point in [0, 1].
      alpha: `>= 0`, the weight of false positives: a scalar, a vector along the last axis of the
        result (the classes), or of its shape. May be traced.
      beta: `>= 0`, the weight of false negatives. Shapes as for `alpha`.
      gamma: `> 0`; 1 is `tversky_loss`. Shapes as for `alpha`.
      axis: the axes of one image: (-3, -2) with classes last, (-2, -1) without classes,
        (-4, -3, -2) for volumes; with the batch axis, too, it is one region over the batch.
      smooth: `>= 0`, in pixels, added above and below. Shapes as for `alpha`.
      where: boolean, `[..., H, W, C]` with dimensions equal or 1; False removes a pixel.

    Returns:
      `[..., C]`, without `axis`, in [0, 1].

    Edge cases:
      For `gamma > 1` the derivative is infinite where the region meets its target exactly: there 0
      is returned. Else those of `tversky_loss`. An integer target other than 0 and 1 gives NaN.

    Differences:
      The paper's alpha weighs false negatives, 0.7, and false positives have `1 - alpha`: the
      defaults here are the same numbers; its code has `smooth=1`. Others raise to `gamma` and not
      to `1 / gamma` under this name.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the ranks differ, a dimension is neither equal nor 1, `axis` is no axis, or a
        weight does not fit the result.

    Reference:
      Abraham, Khan, "A Novel Focal Tversky loss function with improved Attention U-Net for lesion
      segmentation", 2018, arXiv 1810.07842.

    Example:
      >>> predictions = jnp.array([[[0.9], [0.2], [0.7]], [[0.4], [0.6], [0.1]]])
      >>> targets = jnp.array([[[1], [0], [1]], [[1], [0], [0]]])
      >>> print(np.array_str(jaxloss.focal_tversky_loss(predictions, targets), precision=4))
      [0.432]
    """
    check = Arguments("focal_tversky_loss")
    region = region_of(check, axis, where, predictions=predictions, targets=targets)
    losses = _tversky(check, region, alpha, beta, smooth)
    return power(losses, 1 / check.parameter("gamma", gamma, losses, above=0))


def log_cosh_dice_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    axis: Axis = (-3, -2),
    smooth: ArrayLike = 0.0,
    where: ArrayLike | None = None,
) -> Array:
    """Logarithm of the hyperbolic cosine of the Dice loss, which is flat near a perfect match.

    Formula:
      `log(cosh(L))` with `L = 1 - (2 TP + s) / (2 TP + FP + FN + s)`, `TP = sum min(p, y)`,
      `FP = sum relu(p - y)`, `FN = sum relu(y - p)` over `axis` and `s = smooth`.

    Args:
      predictions: `[..., H, W, C]`, probabilities.
      targets: `[..., H, W, C]`, boolean, integers 0 and 1, or floating point in [0, 1].
      axis: the axes of one image: (-3, -2) with classes last, (-2, -1) without classes,
        (-4, -3, -2) for volumes; with the batch axis, too, it is one region over the batch.
      smooth: `>= 0`, in pixels, added above and below: a scalar, or of the shape of the result.
        May be traced.
      where: boolean, `[..., H, W, C]` with dimensions equal or 1; False removes a pixel.

    Returns:
      `[..., C]`, without `axis`, in [0, 0.4338], `log(cosh(1))`. Small losses keep their relative
      precision.

    Edge cases:
      Those of `dice_loss`; the gradient is that of the Dice loss times `tanh(L)`, and 0 at a
      perfect match.

    Differences:
      `log(cosh(L))` as it is written rounds to 0 for a Dice loss below 2e-4 in float32.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the ranks differ, a dimension is neither equal nor 1, or `axis` is no axis.

    Reference:
      Jadon, "A survey of loss functions for semantic segmentation", 2020, arXiv 2006.14822.

    Example:
      >>> predictions = jnp.array([[[0.9], [0.2], [0.7]], [[0.4], [0.6], [0.1]]])
      >>> targets = jnp.array([[[1], [0], [1]], [[1], [0], [0]]])
      >>> print(np.array_str(jaxloss.log_cosh_dice_loss(predictions, targets), precision=4))
      [0.051]
    """
    check = Arguments("log_cosh_dice_loss")
    region = region_of(check, axis, where, predictions=predictions, targets=targets)
    losses = _tversky(check, region, 0.5, 0.5, smooth, 0.5)
    return jnp.log1p(2 * jnp.square(jnp.sinh(0.5 * losses)))


def unified_focal_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    delta: ArrayLike = 0.6,
    gamma: ArrayLike = 0.5,
    weight: ArrayLike = 0.5,
    axis: Axis = (-3, -2),
    class_axis: int = -1,
    where: ArrayLike | None = None,
) -> Array:
    """Asymmetric unified focal loss: foreground raised in a Tversky loss, background held down.

    Formula:
      `w T + (1 - w) F` with `w = weight`; class 0 is the background.
      `T = mean(t_0, t_1^(1 - gamma), ...)` over classes, with `t_c` the Tversky loss whose `alpha`
      is `1 - delta` and whose `beta` is `delta`.
      `F = -mean((1 - delta) (1 - p_0)^gamma y_0 log(p_0) + delta sum_c y_c log(p_c))` over pixels,
      with `c > 0` and no logarithm below -100.

    Args:
      predictions: `[..., H, W, C]`, probabilities of a softmax.
      targets: `[..., H, W, C]`, boolean, integers 0 and 1, or floating point in [0, 1].
      delta: in [0, 1], the weight of the foreground and of false negatives. It, `gamma` and
        `weight` are scalars, and may be traced.
      gamma: in [0, 1), how much the foreground is raised and the background held down.
      weight: in [0, 1], of the Tversky loss against the entropy.
      axis: the axes of one image: (-3, -2) with classes last, (-4, -3, -2) for volumes.
      class_axis: the axis of the classes.
      where: boolean, `[..., H, W, C]` with dimensions equal or 1; False removes a pixel.

    Returns:
      `[...]`, without `axis` and `class_axis`, in [0, 100].

    Edge cases:
      The derivative of `log(p)` is `1 / max(p, 1e-12)`, and that of `(1 - p)^gamma` is 0 at
      `p = 1`. For `gamma > 0` the derivative in a foreground class that is met exactly is
      infinite: there 0 is returned. Derivatives are else those of `dice_loss`. An image that is
      wholly masked is 0; a class that is counts in no mean. An integer target other than 0 and 1
      gives NaN.

    Differences:
      The authors' code clips probabilities, writes `t t^(-gamma)`, which is NaN where a class is
      met exactly, has one foreground class, and takes the mean over the batch. With more classes
      each is treated here as that one is.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the ranks differ, a dimension is neither equal nor 1, `axis` is no axis,
        `class_axis` is among them, or a hyperparameter is not a scalar.

    Reference:
      Yeung, Sala, Schönlieb, Rundo, "Unified Focal loss: Generalising Dice and cross entropy-based
      losses to handle class imbalanced medical image segmentation", 2021, arXiv 2102.04525.

    Example:
      >>> foreground = jnp.array([[0.9, 0.2, 0.7], [0.4, 0.6, 0.1]])
      >>> predictions = jnp.stack([1 - foreground, foreground], -1)
      >>> targets = jax.nn.one_hot(jnp.array([[1, 0, 1], [1, 0, 0]]), 2)
      >>> print(f"{jaxloss.unified_focal_loss(predictions, targets):.4f}")
      0.3167
    """
    check = Arguments("unified_focal_loss")
    region = region_of(check, axis, where, predictions=predictions, targets=targets)
    classes = class_axis_of(check, class_axis, region)
    delta = check.scalar("delta", delta, region.p, at_least=0, at_most=1)
    gamma = check.scalar("gamma", gamma, region.p, at_least=0, below=1)
    weight = check.scalar("weight", weight, region.p, at_least=0, at_most=1)
    losses = _tversky(check, region, 1 - delta, delta, 0.0)
    overlap = _raised_foreground(region, losses, gamma, classes)
    return weight * overlap + (1 - weight) * _focal_entropy(region, delta, gamma, classes)


def _tversky(
    check: Arguments,
    region: Region,
    alpha: ArrayLike,
    beta: ArrayLike,
    smooth: ArrayLike,
    unit: float = 1.0,
) -> Array:
    """One minus the Tversky index, as a fraction in which nothing cancels; `smooth` in units.

    The weights go into one sum: of three, a GPU would write the terms.
    """
    result = jax.eval_shape(lambda p: jnp.sum(p, region.axes), region.p)
    shared, excess, missing = agreement(region.p, region.y)
    cost = _spread(check.parameter("alpha", alpha, result, at_least=0), region) * excess
    cost += _spread(check.parameter("beta", beta, result, at_least=0), region) * missing
    shared, cost = sums((shared, cost), region.axes)
    return fraction(cost, shared + unit * check.parameter("smooth", smooth, shared, at_least=0))


def _spread(weight: Array, region: Region) -> Array:
    """A weight of each region, or of all, for its pixels."""
    return jnp.expand_dims(weight, region.axes) if weight.ndim else weight


def _inverse_square_sizes(sizes: Array, axis: int) -> Array:
    """1 / size^2 in units of the largest that is finite; where a size is 0, that."""
    sizes = lax.stop_gradient(sizes)
    largest = jnp.full((), np.finfo(sizes.dtype).max, sizes.dtype)
    smallest = jnp.min(jnp.where(sizes > 0, sizes, largest), axis, keepdims=True)
    return jnp.square(ratio(smallest, jnp.where(sizes > 0, sizes, smallest)))


def _result_axis(axis: int, region: Region) -> int:
    """Where the axis of the maps is in sums over the region."""
    return axis - sum(summed < axis for summed in region.axes)


def _raised_foreground(region: Region, losses: Array, gamma: Array, axis: int) -> Array:
    """The mean over classes of their losses, to the power 1 - gamma but for the background."""
    classes = _result_axis(axis, region)
    losses = jnp.where(_background(losses, classes), losses, power(losses, 1 - gamma))
    mask = None if region.mask is None else jnp.broadcast_to(region.mask, region.p.shape)
    present = None if mask is None else jnp.any(mask, region.axes)
    return reduction.mean(losses, where=present, axis=classes)


def _focal_entropy(region: Region, delta: Array, gamma: Array, axis: int) -> Array:
    """The mean over pixels of the classes' entropies, the background's held down."""
    held = (1 - delta) * power(relu(1 - region.p), gamma)
    costs = jnp.where(_background(region.p, axis), held, delta) * (region.y * _surprise(region.p))
    (entropy,) = sums((costs,), tuple(sorted((*region.axes, axis))))
    kept = True if region.mask is None else jnp.any(region.mask, axis)
    ones = jnp.where(kept, jnp.ones_like(jnp.sum(costs, axis)), 0)
    pixels = jnp.sum(ones, tuple(a - (a > axis) for a in region.axes))
    return ratio(entropy, pixels)


def _background(x: Array, axis: int) -> Array:
    """True at class 0."""
    shape = [size if i == axis else 1 for i, size in enumerate(x.shape)]
    return lax.broadcasted_iota(jnp.int32, shape, axis) == 0


@jax.custom_jvp
def _surprise(p: Array) -> Array:
    """-log(p), 100 at most, with the derivative -1 / max(p, 1e-12)."""
    return -jnp.maximum(jnp.log(p), -100)  # one by arithmetic would be written by a GPU


@_surprise.defjvp
def _surprise_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (p,) = primals
    return _surprise(p), -tangents[0] / jnp.maximum(p, 1e-12)
