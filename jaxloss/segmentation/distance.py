"""Losses that know how far a pixel is from a boundary, and the distances that they need."""

import functools

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments, keep
from jaxloss._logistic import known_number
from jaxloss.segmentation._regions import Axis, Region, axes_of, maps_of, mean, power, region_of

# More than any squared distance in an image; twice as much still is a 32-bit integer.
FAR = 2**30


def signed_distance_map(mask: ArrayLike, *, axis: Axis = (-2, -1)) -> Array:
    """Exact Euclidean distance of every pixel to the boundary of a mask, negative inside.

    Formula:
      `d(i, mask)` for a pixel i outside the mask and `1 - d(i, not mask)` inside, with `d(i, S)`
      the Euclidean distance from the centre of i to the nearest centre in S: 0 on the inner rim.

    Args:
      mask: `[..., H, W]`, boolean.
      axis: the axes of one image: (-2, -1), (-3, -2) with classes last, or three for volumes; the
        image's diagonal is shorter than 32768 pixels.

    Returns:
      The shape of the mask, float32, in pixels.

    Edge cases:
      0 everywhere for an empty mask, and for a full one. A constant: no gradient. The time is the
      number of pixels times the sides after the first, and the memory a few arrays of the mask's
      size. On a mesh with explicit axes no axis of an image may be split.

    Differences:
      `scipy.ndimage.distance_transform_edt(~mask) - (distance_transform_edt(mask) - 1) * mask`,
      which is what the boundary loss's authors take, gives an empty or full mask distances to
      nothing. Many signed distances have no `- 1`, and jump by 2 across the boundary.

    Raises:
      TypeError: `mask` is a list, or not boolean.
      ValueError: `axis` is no axis.

    Reference:
      Felzenszwalb, Huttenlocher, "Distance Transforms of Sampled Functions", 2012; Kervadec,
      Bouchtiba, Desrosiers, Granger, Dolz, Ben Ayed, "Boundary loss for highly unbalanced
      segmentation", 2018, arXiv 1812.07032 (the sign and the rim).

    Example:
      >>> mask = jnp.array([[0, 0, 1, 1], [0, 1, 1, 1]]) > 0
      >>> print(np.array_str(jaxloss.signed_distance_map(mask), precision=4))
      [[ 1.4142  1.      0.     -1.    ]
       [ 1.      0.     -0.4142 -1.2361]]
    """
    check = Arguments("signed_distance_map")
    inside = check.array("mask", mask)
    inside = check.mask("mask", inside, inside.shape, "a mask")
    axes = axes_of(check, axis, inside.ndim)
    squares, known = _to_the_other_side(inside, ~inside, axes)
    distances = jnp.sqrt(squares.astype(jnp.float32))
    return keep(known, jnp.where(inside, 1 - distances, distances))


def boundary_loss(
    predictions: ArrayLike,
    distance_map: ArrayLike,
    *,
    axis: Axis = (-3, -2),
    where: ArrayLike | None = None,
) -> Array:
    """Mean of predicted probabilities times the signed distances to the target's boundary.

    Formula:
      `mean(p phi)` over `axis`, with `phi` the distances.

    Args:
      predictions: `[..., H, W, C]`, probabilities.
      distance_map: `[..., H, W, C]`, positive outside the target, from `signed_distance_map` with
        the same `axis`, floating point. A constant.
      axis: the axes of one image: (-3, -2) with classes last, (-2, -1) without classes,
        (-4, -3, -2) for volumes.
      where: boolean, `[..., H, W, C]` with dimensions equal or 1; False removes a pixel.

    Returns:
      `[..., C]`, without `axis`, in pixels: negative where what is predicted lies well inside.

    Edge cases:
      Linear: the gradient is `phi` over the number of pixels. A region that is wholly masked is 0.

    Differences:
      The authors' takes the mean over images, classes and pixels at once, and adds it to a region
      loss with a weight that grows during training, since alone it is happy with predicting
      nothing.

    Raises:
      TypeError: an argument is a list, or `predictions` or `distance_map` are not floating point.
      ValueError: the ranks differ, a dimension is neither equal nor 1, or `axis` is no axis.

    Reference:
      Kervadec, Bouchtiba, Desrosiers, Granger, Dolz, Ben Ayed, "Boundary loss for highly
      unbalanced segmentation", 2018, arXiv 1812.07032.

    Example:
      >>> distances = jaxloss.signed_distance_map(jnp.array([[False, True, True, True]]))
      >>> predictions = jnp.array([[0.5, 1.0, 1.0, 0.8]])
      >>> print(f"{jaxloss.boundary_loss(predictions, distances, axis=(-2, -1)):.4f}")
      -0.5250
    """
    check = Arguments("boundary_loss")
    dtype = check.array("distance_map", distance_map).dtype
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(
            f"`boundary_loss`: `distance_map` has dtype {dtype}, "
            f"expected floating point: the distances `signed_distance_map(target)`, not the target"
        )
    region = maps_of(check, axis, where, predictions=predictions, distance_map=distance_map)
    return mean(region, region.p * lax.stop_gradient(region.y))


def hausdorff_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    exponent: ArrayLike = 2.0,
    axis: Axis = (-3, -2),
    where: ArrayLike | None = None,
) -> Array:
    """Squared error of every pixel, weighted by its distances to both boundaries.

    Formula:
      `mean((p - y)^2 (D_p^a + D_y^a))` over `axis` with `a` the exponent and `D_x` a pixel's
      Euclidean distance to the nearest pixel on the other side of `x > 0.5`.

    Args:
      predictions: `[..., H, W, C]`, probabilities.
      targets: `[..., H, W, C]`, boolean, integers 0 and 1, or floating point in [0, 1].
      exponent: `>= 0`, a scalar, how much more a distant error counts. May be traced.
      axis: the axes of one image: (-3, -2) with classes last, (-2, -1) without classes,
        (-4, -3, -2) for volumes.
      where: boolean, `[..., H, W, C]` with dimensions equal or 1; False removes a pixel, which is
        then on neither side.

    Returns:
      `[..., C]`, without `axis`, `>= 0`, in pixels to the power of the exponent.

    Edge cases:
      The distances are constants under differentiation, and the loss jumps where a probability
      crosses 0.5. Maps that lie on one side everywhere have distances of 0. An integer target other
      than 0 and 1 gives NaN. A region that is wholly masked is 0. On a mesh with explicit axes no
      axis of an image may be split.

    Differences:
      MONAI's `HausdorffDTLoss` computes the distances on the host. kornia's `HausdorffERLoss`
      erodes instead. Other implementations take distances of 0 for an empty mask alone, and
      distances to nothing for a full one.

    Raises:
      TypeError: an argument is a list, or `predictions` are not floating point.
      ValueError: the ranks differ, a dimension is neither equal nor 1, `axis` is no axis, or
        `exponent` is not a scalar.

    Reference:
      Karimi, Salcudean, "Reducing the Hausdorff Distance in Medical Image Segmentation with
      Convolutional Neural Networks", 2019, arXiv 1904.10030.

    Example:
      >>> predictions, targets = jnp.array([[0.9, 0.8, 0.1, 0.0]]), jnp.array([[1, 0, 0, 0]])
      >>> print(f"{jaxloss.hausdorff_loss(predictions, targets, axis=(-2, -1)):.4f}")
      0.3450
    """
    check = Arguments("hausdorff_loss")
    region = region_of(check, axis, where, predictions=predictions, targets=targets)
    a = check.scalar("exponent", exponent, region.p, at_least=0)
    weight = functools.partial(_distance_power, region, a, known_number(exponent) == 2)
    return mean(region, jnp.square(region.p - region.y) * (weight(region.p) + weight(region.y)))


def _distance_power(region: Region, exponent: Array, square: bool, x: Array) -> Array:
    """Distances to the other side of x > 0.5, to a power."""
    inside, counted = x > 0.5, True if region.mask is None else region.mask
    squares, known = _to_the_other_side(inside & counted, ~inside & counted, region.axes)
    squares = keep(known, squares.astype(x.dtype))
    return squares if square else power(squares, 0.5 * exponent)


def _to_the_other_side(inside: Array, outside: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """Squared distances from pixels of each side to the other, and whether there are both sides."""
    to_inside, to_outside = _squared_distances(inside, axes), _squared_distances(outside, axes)
    return jnp.where(inside, to_outside, to_inside), (to_inside < FAR) & (to_outside < FAR)


def _squared_distances(seeds: Array, axes: tuple[int, ...]) -> Array:
    """The squared distance of every pixel to its nearest seed, exact; `FAR` or more without any."""
    if seeds.size == 0:
        return jnp.zeros(seeds.shape, jnp.int32)
    *others, last = axes
    squares = _squares_along(seeds, last)
    for axis in others:
        squares = _lower_envelope(squares, axis)
    return squares


def _squares_along(seeds: Array, axis: int) -> Array:
    """Squared distances within lines of pixels."""
    far = 1 << 15
    place = lax.broadcasted_iota(jnp.int32, seeds.shape, axis)
    before = lax.cummax(jnp.where(seeds, place, -far), axis)
    after = lax.cummin(jnp.where(seeds, place, 2 * far), axis, reverse=True)
    distance = jnp.minimum(place - before, after - place)
    return jnp.where(distance < far, jnp.square(distance), FAR)


def _lower_envelope(squares: Array, axis: int) -> Array:
    """The least of `squares` at any pixel of a line plus the squared distance to that pixel."""
    lines = jnp.moveaxis(squares, axis, 0)
    place = lax.broadcasted_iota(jnp.int32, lines.shape, 0)

    def nearer(j: Array, best: Array) -> Array:
        through = lax.dynamic_index_in_dim(lines, j, 0) + jnp.square(place - j)
        return jnp.minimum(best, through)

    return jnp.moveaxis(lax.fori_loop(0, lines.shape[0], nearer, lines, unroll=8), 0, axis)
