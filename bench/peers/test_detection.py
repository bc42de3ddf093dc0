"""Losses, gradients and matches of SSD and RetinaNet agree with torchvision's."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torchvision.models.detection import _utils
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.models.detection.ssd import SSD
from torchvision.ops import box_iou

import jaxloss
from jaxloss import boxes, detection
from jaxloss.matching import match_anchors

OBJECTS = (0, 1, 7, 40)
CLASSES = 20


def objects(side, seed, classes):
    """Padded boxes and labels of the four images; NaN and nonsense in the padding."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 0.7 * side, (4, max(OBJECTS), 2))
    sides = np.exp(rng.uniform(np.log(0.05 * side), np.log(0.6 * side), corner.shape))
    box = np.concatenate([corner, corner + sides], -1).astype(np.float32)
    label = rng.integers(classes.start, classes.stop, box.shape[:2]).astype(np.int32)
    where = np.arange(box.shape[1]) < np.array(OBJECTS)[:, None]
    return np.where(where[..., None], box, np.nan), np.where(where, label, -7), where


def jittered(anchors, seed):
    """Anchors of equal size inside one object tie exactly, and rounding decides: not these."""
    offsets = np.random.default_rng(seed).uniform(-0.5, 0.5, anchors.shape)
    return np.asarray(anchors + offsets, np.float32)


def targets(box, label):
    return [
        {"boxes": torch.tensor(b[:n]), "labels": torch.tensor(i[:n], dtype=torch.int64)}
        for b, i, n in zip(box, label, OBJECTS, strict=True)
    ]


def matched(matcher, anchors, truths):
    none = torch.full((len(anchors),), -1)
    return [
        matcher(box_iou(truth["boxes"], anchors)) if len(truth["boxes"]) else none
        for truth in truths
    ]


def predictions(anchors, classes, seed):
    rng = np.random.default_rng(seed)
    deltas = rng.standard_normal((4, len(anchors), 4)).astype(np.float32)
    logits = 3 * rng.standard_normal((4, len(anchors), classes)).astype(np.float32)
    return deltas, logits


def compare(ours, theirs, arrays):
    """Each term by name, and its gradient by both predictions."""
    tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
    expected = theirs(*tensors)
    for name, term in ours(*arrays).items():
        np.testing.assert_allclose(term, expected[name].detach(), rtol=1e-5)
        found = jax.grad(lambda *a, name=name: ours(*a)[name], argnums=(0, 1))(*arrays)
        wanted = torch.autograd.grad(
            expected[name], tensors, retain_graph=True, materialize_grads=True
        )
        for ours_, theirs_ in zip(found, wanted, strict=True):
            scale = np.abs(theirs_.numpy()).max()
            np.testing.assert_allclose(ours_, theirs_, rtol=1e-5, atol=1e-6 * scale)


def check_matches(anchors, box, where, indices, **setting):
    for image, expected in enumerate(indices):
        found = match_anchors(
            jnp.asarray(anchors), box[image], where=jnp.asarray(where[image]), **setting
        )
        index = np.where(found.positive, found.indices, np.where(found.negative, -1, -2))
        np.testing.assert_array_equal(index, expected)


@pytest.mark.parametrize("seed", range(3))
def test_ssd(seed):
    anchors = jittered(boxes.ssd_anchors(), seed)
    box, label, where = objects(300.0, seed, range(1, CLASSES + 1))
    truths = targets(box, label)
    indices = matched(_utils.SSDMatcher(0.5), torch.tensor(anchors), truths)
    check_matches(anchors, box, where, indices, force_match="last")
    coder = _utils.BoxCoder(weights=(10.0, 10.0, 5.0, 5.0))
    model = SimpleNamespace(box_coder=coder, neg_to_pos_ratio=3)

    def theirs(deltas, logits):
        outputs = {"bbox_regression": deltas, "cls_logits": logits}
        return SSD.compute_loss(model, truths, outputs, [torch.tensor(anchors)] * 4, indices)

    @jax.jit
    def ours(deltas, logits):
        terms = detection.ssd_loss(deltas, logits, anchors, box, label, where=where)
        positives = jnp.maximum(1, jaxloss.sum(terms.positives))
        return {
            "bbox_regression": jaxloss.sum(terms.localization) / positives,
            "classification": jaxloss.sum(terms.classification) / positives,
        }

    compare(ours, theirs, predictions(anchors, CLASSES + 1, seed))


@pytest.mark.parametrize("seed", range(3))
def test_retinanet(seed):
    anchors = jittered(boxes.retinanet_anchors((256, 256)), seed)
    box, label, where = objects(256.0, seed, range(CLASSES))
    truths = targets(box, label)
    matcher = _utils.Matcher(0.5, 0.4, allow_low_quality_matches=True)
    indices = matched(matcher, torch.tensor(anchors), truths)
    check_matches(anchors, box, where, indices, force_match="own", negative_threshold=0.4)
    head = RetinaNetHead(1, 9, CLASSES)

    def theirs(deltas, logits):
        outputs = {"bbox_regression": deltas, "cls_logits": logits}
        return head.compute_loss(truths, outputs, [torch.tensor(anchors)] * 4, indices)

    @jax.jit
    def ours(deltas, logits):
        terms = detection.retinanet_loss(deltas, logits, anchors, box, label, where=where)
        positives = jnp.maximum(1, terms.positives)
        return {
            "bbox_regression": jaxloss.mean(terms.localization / positives),
            "classification": jaxloss.mean(terms.classification / positives),
        }

    compare(ours, theirs, predictions(anchors, CLASSES, seed))
