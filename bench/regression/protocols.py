"""The cases of two papers' simulations and how their boxes move.

A case is an anchor that is to become a target. All centres are combined with seven areas and seven
aspect ratios of the anchor and seven aspect ratios of the target: 343 cases a centre.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

RATIOS = (1 / 4, 1 / 3, 1 / 2, 1.0, 2.0, 3.0, 4.0)
CASES = len(RATIOS) ** 3
GOLDEN = (5**0.5 - 1) / 2
# Corners are a linear map of centre and sides, whose transpose is its exact derivative.
CENTERS_TO_CORNERS = ((1, 0, 1, 0), (0, 1, 0, 1), (-0.5, 0, 0.5, 0), (0, -0.5, 0, 0.5))


@dataclass(frozen=True)
class Protocol:
    """A simulation.

    Attributes:
      title: the paper's.
      center: both coordinates of all targets' centre.
      radius: of the disc around it in which anchors have their centres.
      points: how many centres there are.
      area: of the targets.
      areas: of the anchors.
      reach: the distance of a centre as a share of the radius, from a number uniform in [0, 1).
      in_corners: whether the parameters are x1, y1, x2, y2, or the centre and the sides.
      steps: how many updates there are.
      optimizer: makes updates of gradients.
      weight: what the gradient of a case is multiplied by, from its overlap.
      image: the side of an image that holds all this, for losses that ask for it.
      published: whether the paper's curves are of errors, and known.
    """

    title: str
    center: float
    radius: float
    points: int
    area: float
    areas: tuple[float, ...]
    reach: Callable[[np.ndarray], np.ndarray]
    in_corners: bool
    steps: int
    optimizer: optax.GradientTransformation
    weight: Callable[[Array], Array]
    image: float
    published: bool = False

    @property
    def measure(self) -> str:
        """What the paper's curves show."""
        return "sum of L1 errors in millions" if self.published else "mean IoU"

    def centers(self, points: int, seed: int) -> np.ndarray:
        """Seeded centres of anchors, `[points, 2]`.

        One in each of `points` equally likely rings, a golden angle apart and each a little off, so
        that a few are a fair sample of many.
        """
        within, turn = np.random.default_rng(seed).random((2, points))
        place = np.arange(points)
        distance = self.radius * self.reach((place + within) / points)
        angle = 2 * np.pi * (GOLDEN * place + turn / np.sqrt(points))
        offsets = distance * np.stack([np.cos(angle), np.sin(angle)])
        return (self.center + offsets.T).astype(np.float32)

    def cases(self, centers: Array) -> tuple[Array, Array]:
        """Parameters of anchors and of their targets, `[343 points, 4]` each."""
        anchors = np.repeat(sides(self.areas), len(RATIOS), axis=0)
        targets = np.tile(sides((self.area,)), (len(anchors) // len(RATIOS), 1))
        middle = jnp.full((len(centers), 2), self.center, centers.dtype)
        return self._boxes(centers, anchors), self._boxes(middle, targets)

    def corners(self, parameters: Array) -> Array:
        """The boxes x1, y1, x2, y2 of parameters `[..., 4]`."""
        if self.in_corners:
            return parameters
        return to_corners(parameters)

    def _boxes(self, centers: Array, shapes: np.ndarray) -> Array:
        shape = (len(centers), len(shapes), 2)
        boxes = jnp.concatenate(
            [
                jnp.broadcast_to(centers[:, None], shape),
                jnp.broadcast_to(jnp.asarray(shapes, centers.dtype)[None], shape),
            ],
            axis=-1,
        ).reshape(-1, 4)
        return to_corners(boxes) if self.in_corners else boxes


def sides(areas: tuple[float, ...]) -> np.ndarray:
    """Widths and heights of all areas and aspect ratios, `[7 areas, 2]`."""
    area, ratio = (grid.ravel() for grid in np.meshgrid(areas, RATIOS, indexing="ij"))
    return np.stack([np.sqrt(area * ratio), np.sqrt(area / ratio)], axis=-1)


def to_corners(boxes: Array) -> Array:
    """x1, y1, x2, y2 of centres and sides; the product is faster than picking columns."""
    matrix = jnp.asarray(CENTERS_TO_CORNERS, boxes.dtype)
    return jnp.matmul(boxes, matrix, precision="highest")


def falling(update: Array) -> Array:
    """The step of Distance-IoU's simulation: 0.1, after 160 updates 0.01, after 180 0.001."""
    return jnp.where(update < 160, 0.1, jnp.where(update < 180, 0.01, 0.001))


def uniform(share: np.ndarray) -> np.ndarray:
    """Centres uniform over the disc."""
    return np.sqrt(share)


def towards_the_rim(share: np.ndarray) -> np.ndarray:
    """Centres of the WIoU simulation, which is denser at the rim."""
    return np.log(share * (np.exp(3) - 1) + 1) / 3


def wiou(radius: float, points: int, steps: int) -> Protocol:
    """The objective is the mean over all of the paper's cases, however many there are here."""
    return Protocol(
        title="Wise-IoU's simulation",
        center=0.5,
        radius=radius,
        points=points,
        area=1 / 32,
        areas=(1 / 32, 1 / 24, 3 / 64, 1 / 16, 1 / 12, 3 / 32, 1 / 8),
        reach=towards_the_rim,
        in_corners=True,
        steps=steps,
        optimizer=optax.adam(0.01),
        weight=lambda iou: jnp.full_like(iou, 1 / (points * CASES)),
        image=1.0,
    )


PROTOCOLS = {
    "diou": Protocol(
        title="Distance-IoU's simulation",
        center=10.0,
        radius=3.0,
        points=5000,
        area=1.0,
        areas=(0.5, 0.67, 0.75, 1.0, 1.33, 1.5, 2.0),
        reach=uniform,
        in_corners=False,
        steps=200,
        optimizer=optax.sgd(falling),
        weight=lambda iou: 2 - iou,
        image=20.0,
        published=True,
    ),
    "wiou": wiou(radius=0.5, points=5000, steps=120),
    "wiou_near": wiou(radius=0.1, points=200, steps=60),
}
