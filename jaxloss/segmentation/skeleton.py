"""Centre lines of soft masks by erosion and dilation, and a loss that compares them."""

import functools
import operator

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments
from jaxloss._numerics import relu, smaller
from jaxloss._sums import sums
from jaxloss.segmentation._regions import Axis, axes_of, fraction, region_of


def soft_skeleton(predictions: ArrayLike, *, iterations: int = 10, axis: Axis = (-3, -2)) -> Array:
    """Centre lines of a soft mask: what each of several erosions leaves that an opening removes.

    Formula:
      `S = relu(x - open(x))`; then `iterations` times `x = erode(x)`,
      `S = S + relu(d - S d)` with `d = relu(x - open(x))`. `erode` is the least of a pixel and its
      two neighbours along each axis, `dilate` the greatest of its neighbourhood of 3 along every
      axis, and `open(x) = dilate(erode(x))`. Beyond the border there are no neighbours.

    Args:
      predictions: `[..., H, W, C]`, probabilities.
      iterations: `>= 0`, static: half the width in pixels of the widest thing that is thinned.
      axis: the axes of one image: (-3, -2) with classes last, (-2, -1) without classes,
        (-4, -3, -2) for volumes.

    Returns:
      The shape of `predictions`, in [0, 1].

    Edge cases:
      Among equal neighbours along an axis the derivative of the least and of the greatest is
      shared equally; that of `relu` is 0 at 0. Under differentiation the eroded masks are kept,
      one an iteration, and the rest is computed again.

    Differences:
      The paper's code has the same values; where neighbours are equal, torch's pooling gives the
      whole derivative to one of them. MONAI's default is 3 iterations.

    Raises:
      TypeError: `predictions` are a list or not floating point, or `iterations` is no integer.
      ValueError: `axis` is no axis, or `iterations` is negative.

    Reference:
      Shit, Paetzold, Sekuboyina, Ezhov, Unger, Zhylka, Pluim, Bauer, Menze, "clDice - a Novel
      Topology-Preserving Loss Function for Tubular Structure Segmentation", 2020, arXiv 2003.07311.

    Example:
      >>> mask = jnp.array([[1.0, 1.0, 1.0, 1.0]] * 3)
      >>> print(jaxloss.soft_skeleton(mask, axis=(-2, -1)))
      [[0. 0. 0. 0.]
       [0. 0. 0. 0.]
       [0. 0. 0. 0.]]
    """
    check = Arguments("soft_skeleton")
    (x,) = check.floats(predictions=predictions)
    axes = axes_of(check, axis, x.ndim)
    return _skeleton(x, check.count("iterations", iterations, "how often maps are thinned"), axes)


def centerline_dice_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    iterations: int = 10,
    axis: Axis = (-3, -2),
    smooth: ArrayLike = 1.0,
    where: ArrayLike | None = None,
) -> Array:
    """One minus the harmonic mean of how much of each centre line lies in the other mask (clDice).

    Formula:
      `1 - 2 P S / (P + S)` with `P = (sum S_p y + s) / (sum S_p + s)` and
      `S = (sum S_y p + s) / (sum S_y + s)` over `axis`, where `S_x` is `soft_skeleton(x)` and
      `s = smooth`.

    Args:
      predictions: `[..., H, W, C]`, probabilities.
      targets: `[..., H, W, C]`, boolean, integers 0 and 1, or floating point in [0, 1].
      iterations: `>= 0`, static: half the width in pixels of the widest thing that is thinned.
      axis: the axes of one image: (-3, -2) with classes last, (-2, -1) without classes,
        (-4, -3, -2) for volumes.
      smooth: `>= 0`, in pixels, added above and below: a scalar, or of the shape of the result.
        May be traced.
      where: boolean, `[..., H, W, C]` with dimensions equal or 1; False removes a pixel, which is
        background to the skeletons beside it.

    Returns:
      `[..., C]`, without `axis`, in [0, 1].

    Edge cases:
      Derivatives are those of `soft_skeleton`. Without `smooth`, a share of an empty skeleton is
      1, and two shares of 0 are a loss of 1 with gradient 0. A region that is wholly masked is 0.
      The products make no soft target its own best prediction. An integer target other than 0 and
      1 gives NaN.

    Differences:
      The authors' code sums over the whole batch, here every image and class has its loss; it
      always takes 10 iterations, whatever it is asked for. MONAI's default is 3. The authors train
      with `(1 - a) dice + a clDice`, `a = 0.5` and `smooth = 1` in both.

    Raises:
      TypeError: an argument is a list, `predictions` are not floating point, or `iterations` is no
        integer.
      ValueError: the ranks differ, a dimension is neither equal nor 1, `axis` is no axis, or
        `iterations` is negative.

    Reference:
      Shit, Paetzold, Sekuboyina, Ezhov, Unger, Zhylka, Pluim, Bauer, Menze, "clDice - a Novel
      Topology-Preserving Loss Function for Tubular Structure Segmentation", 2020, arXiv 2003.07311.

    Example:
      >>> targets = jnp.zeros((8, 8)).at[2:5, 1:7].set(1.0)
      >>> predictions = jnp.full((8, 8), 0.1).at[2:5, 1:6].set(0.8).at[3, 6].set(0.6)
      >>> loss = jaxloss.centerline_dice_loss(predictions, targets, axis=(-2, -1))
      >>> print(f"{loss:.4f}")
      0.0870
    """
    check = Arguments("centerline_dice_loss")
    region = region_of(check, axis, where, predictions=predictions, targets=targets)
    p, y, axes = region.p, region.y, region.axes
    iterations = check.count("iterations", iterations, "how often maps are thinned")
    p_line, y_line = _skeleton(p, iterations, axes), _skeleton(y, iterations, axes)
    terms = (p_line * (1 - y), p_line * y, y_line * (1 - p), y_line * p)
    outside_y, inside_y, outside_p, inside_p = sums(terms, axes)
    smooth = check.parameter("smooth", smooth, inside_p, at_least=0)
    a, b = fraction(outside_y, inside_y + smooth), fraction(outside_p, inside_p + smooth)
    losses = fraction(a * (1 - b) + b * (1 - a), 2 * (1 - a) * (1 - b))
    return jnp.where(a + b == 2, jnp.ones_like(losses), losses)


def _skeleton(x: Array, iterations: int, axes: tuple[int, ...]) -> Array:
    @jax.checkpoint
    def thin(state: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], None]:
        x, skeleton = state
        eroded = functools.reduce(smaller, (_least(x, axis) for axis in axes))
        d = relu(x - _dilated(eroded, axes))
        return (eroded, skeleton + relu(d - skeleton * d)), None

    (_, skeleton), _ = lax.scan(thin, (x, jnp.zeros_like(x)), length=iterations + 1)
    return skeleton


def _dilated(x: Array, axes: tuple[int, ...]) -> Array:
    for axis in axes:
        x = -_least(-x, axis)
    return x


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _least(x: Array, axis: int) -> Array:
    """The least of x and its two neighbours along an axis, with a derivative that ties share."""
    return functools.reduce(jnp.minimum, _neighbours(x, axis, np.inf))


@_least.defjvp
def _least_jvp(axis: int, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    least = _least(*primals, axis)
    hits = [(x == least).astype(least.dtype) for x in _neighbours(*primals, axis, np.inf)]
    moved = _neighbours(*tangents, axis, 0)
    tangent = functools.reduce(operator.add, (hit * t for hit, t in zip(hits, moved, strict=True)))
    return least, tangent / functools.reduce(operator.add, hits)


def _neighbours(x: Array, axis: int, border: float) -> list[Array]:
    """x, and x moved by one pixel to either side, with `border` coming in."""
    ends = [(0, 0, 0)] * x.ndim
    moves = [[*ends[:axis], end, *ends[axis + 1 :]] for end in ((1, -1, 0), (-1, 1, 0))]
    return [x, *(lax.pad(x, jnp.full((), border, x.dtype), move) for move in moves)]
