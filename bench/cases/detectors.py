"""Matching, suppression and whole detectors: torchvision, and a step as JAX users write it."""

import functools
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from flax import nnx
from jax.flatten_util import ravel_pytree
from torchvision.models.detection import _utils
from torchvision.models.detection.ssd import SSD
from torchvision.ops import box_iou, nms

import jaxloss
from bench.cases.case import Arrays, Case, boxes
from jaxloss import detection
from jaxloss.boxes import anchor_grid, non_max_suppression, ssd_anchors
from jaxloss.matching import match_anchors
from notebooks.trees.model import STRIDE, Detector

IMAGES, OBJECTS, CLASSES = 32, 64, 21
KEPT = 200


def jittered_anchors(random: np.random.Generator) -> np.ndarray:
    """SSD300's, moved a little: of equal overlaps, rounding would choose one."""
    anchors = np.asarray(ssd_anchors())
    return (anchors + random.uniform(-0.5, 0.5, anchors.shape)).astype(np.float32)


def objects(random: np.random.Generator, *count: int) -> np.ndarray:
    """Objects of 15 to 180 pixels in an image of 300."""
    corners = random.uniform(0, 0.7 * 300, (*count, 2))
    sides = np.exp(random.uniform(np.log(15), np.log(180), (*count, 2)))
    return np.concatenate([corners, corners + sides], -1).astype(np.float32)


def batch_of_objects(random: np.random.Generator) -> Arrays:
    return [jittered_anchors(random), objects(random, IMAGES, OBJECTS)]


def many_objects(random: np.random.Generator) -> Arrays:
    corners = random.uniform(0, 900, (120_000, 2))
    sides = np.exp(random.uniform(np.log(16), np.log(300), (120_000, 2)))
    anchors = np.concatenate([corners, corners + sides], -1).astype(np.float32)
    return [anchors, 3 * objects(random, 500)]


def our_matches(anchors: jax.Array, objects: jax.Array) -> jax.Array:
    def image(objects: jax.Array) -> jax.Array:
        matches = match_anchors(anchors, objects)
        return jnp.where(matches.positive, matches.indices, -1)

    return jax.vmap(image)(objects)


def their_matches(anchors: torch.Tensor, objects: torch.Tensor) -> torch.Tensor:
    matcher = _utils.SSDMatcher(0.5)
    return torch.stack([matcher(box_iou(some, anchors)) for some in objects])


def our_many_matches(anchors: jax.Array, objects: jax.Array) -> jax.Array:
    matches = match_anchors(anchors, objects, negative_threshold=0.4, force_match="own")
    return jnp.where(matches.positive, matches.indices, jnp.where(matches.negative, -1, -2))


def their_many_matches(anchors: torch.Tensor, objects: torch.Tensor) -> torch.Tensor:
    matcher = _utils.Matcher(0.5, 0.4, allow_low_quality_matches=True)
    return matcher(box_iou(objects, anchors))


def scored(random: np.random.Generator) -> Arrays:
    return [boxes(random, 8, 8732) * 3, random.permutation(8 * 8732).reshape(8, 8732) / 7e4]


def single(random: np.random.Generator) -> Arrays:
    found, scores = scored(random)
    return [found, scores.astype(np.float32)]


def our_selection(found: jax.Array, scores: jax.Array) -> jax.Array:
    select = functools.partial(non_max_suppression, max_outputs=KEPT, iou_threshold=0.5)
    return jax.vmap(select)(found, scores).indices


def their_selection(found: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    return torch.stack([nms(b, s, 0.5)[:KEPT] for b, s in zip(found, scores, strict=True)])


def ssd_outputs(random: np.random.Generator) -> Arrays:
    anchors = jittered_anchors(random)
    count = np.arange(OBJECTS) < random.integers(1, OBJECTS, IMAGES)[:, None]
    return [
        random.standard_normal((IMAGES, len(anchors), 4), np.float32),
        random.standard_normal((IMAGES, len(anchors), CLASSES), np.float32),
        anchors,
        objects(random, IMAGES, OBJECTS),
        random.integers(1, CLASSES, (IMAGES, OBJECTS)).astype(np.int32),
        count,
    ]


def our_ssd(deltas: Any, logits: Any, anchors: Any, found: Any, labels: Any, real: Any) -> Any:
    terms = detection.ssd_loss(deltas, logits, anchors, found, labels, where=real)
    return jaxloss.sum(detection.total(terms)) / jnp.maximum(1, jaxloss.sum(terms.positives))


def their_ssd(deltas: Any, logits: Any, anchors: Any, found: Any, labels: Any, real: Any) -> Any:
    truths = [
        {"boxes": b[kept], "labels": y[kept].long()}
        for b, y, kept in zip(found, labels, real, strict=True)
    ]
    matcher = _utils.SSDMatcher(0.5)
    indices = [matcher(box_iou(truth["boxes"], anchors)) for truth in truths]
    coder = _utils.BoxCoder(weights=(10.0, 10.0, 5.0, 5.0))
    model = SimpleNamespace(box_coder=coder, neg_to_pos_ratio=3)
    outputs = {"bbox_regression": deltas, "cls_logits": logits}
    losses = SSD.compute_loss(model, truths, outputs, [anchors] * len(truths), indices)
    return losses["bbox_regression"] + losses["classification"]


def plain_ssd(deltas: Any, logits: Any, anchors: Any, found: Any, labels: Any, real: Any) -> Any:
    """As JAX users write it today: the dense matrix of overlaps, optax, and two sorts."""

    def image(deltas: Any, logits: Any, found: Any, labels: Any, real: Any) -> tuple[Any, Any]:
        low = jnp.maximum(anchors[:, None, :2], found[None, :, :2])
        high = jnp.minimum(anchors[:, None, 2:], found[None, :, 2:])
        shared = jnp.prod(jnp.clip(high - low, 0), -1)
        area, areas = (jnp.prod(b[:, 2:] - b[:, :2], -1) for b in (anchors, found))
        overlaps = shared / (area[:, None] + areas[None] - shared + 1e-9)
        overlaps = jnp.where(real[None], overlaps, -1)
        index, best = jnp.argmax(overlaps, 1), jnp.max(overlaps, 1)
        own = jnp.where(real, jnp.argmax(overlaps, 0), len(anchors))
        index = index.at[own].set(jnp.arange(len(found)), mode="drop")
        positive = (best >= 0.5).at[own].set(True, mode="drop")
        target = jnp.where(positive[:, None], found[index], anchors)
        label = jnp.where(positive, labels[index], 0)
        sides, size = target[:, 2:] - target[:, :2], anchors[:, 2:] - anchors[:, :2]
        shift = (target[:, 2:] + target[:, :2] - anchors[:, 2:] - anchors[:, :2]) / 2 / size
        encoded = jnp.concatenate([10 * shift, 5 * jnp.log(sides / size)], -1)
        near = optax.losses.huber_loss(deltas, encoded).sum(-1)
        cost = optax.losses.softmax_cross_entropy_with_integer_labels(logits, label)
        order = jnp.argsort(jnp.argsort(-jnp.where(positive, -jnp.inf, cost)))
        kept = positive | (order < 3 * positive.sum())
        return jnp.where(positive, near, 0).sum() + jnp.where(kept, cost, 0).sum(), positive.sum()

    losses, positives = jax.vmap(image)(deltas, logits, found, labels, real)
    return losses.sum() / jnp.maximum(1, positives.sum())


SQUARE, SIDES, TREES = 128, (7.0, 11.0, 17.0, 26.0, 40.0), 24


@functools.cache
def demo() -> tuple[Any, Any, jax.Array]:
    """The demo's network as a function of its weights in one vector, and its anchors."""
    graph, weights = nnx.split(Detector(len(SIDES), 2, rngs=nnx.Rngs(0)))
    vector, unravel = ravel_pytree(weights)
    cells = (SQUARE // STRIDE, SQUARE // STRIDE)
    anchors = anchor_grid(cells, STRIDE, scales=SIDES, aspect_ratios=(1.0,)).reshape(-1, 4)
    return vector, lambda vector: nnx.merge(graph, unravel(vector)), anchors


def demo_batch(random: np.random.Generator) -> Arrays:
    corners = random.uniform(0, 90, (4, TREES, 2))
    trees = np.concatenate([corners, corners + random.uniform(6, 40, corners.shape)], -1)
    return [
        np.asarray(demo()[0]),
        random.uniform(0, 255, (4, SQUARE, SQUARE, 3)).astype(np.float32),
        trees.astype(np.float32),
        np.ones((4, TREES), np.int32),
        np.ones((4, TREES), bool),
    ]


def demo_step(loss: Any) -> Any:
    def step(weights: Any, images: Any, trees: Any, labels: Any, real: Any) -> Any:
        deltas, logits = demo()[1](weights)(images)
        return loss(deltas, logits, demo()[2], trees, labels, real)

    return step


CASES = [
    Case(
        "match_anchors (8732 x 64), batch of 32",
        batch_of_objects,
        our_matches,
        torch_peers={"torchvision": their_matches},
        differentiated=0,
        better_form=True,
        batched=False,
    ),
    Case(
        "match_anchors (120,000 x 500)",
        many_objects,
        our_many_matches,
        torch_peers={"torchvision": their_many_matches},
        differentiated=0,
        better_form=True,
        batched=False,
    ),
    Case(
        "non-maximum suppression, 8 x 8732 to 200",
        single,
        our_selection,
        torch_peers={"torchvision": their_selection},
        differentiated=0,
        better_form=True,
        batched=False,
    ),
    Case(
        "SSD loss with matching (32 x 8732 x 21)",
        ssd_outputs,
        our_ssd,
        {"optax, plain form": plain_ssd},
        {"torchvision": their_ssd},
        differentiated=2,
        compiled=False,
        better_form=True,
        batched=False,
    ),
    Case(
        "gradient of the demo's network and loss",
        demo_batch,
        demo_step(our_ssd),
        {"optax, plain form": demo_step(plain_ssd)},
        tolerance=1e-2,
        batched=False,
    ),
]
