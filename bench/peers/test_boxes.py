"""The IoU family and the formats agree with torchvision's where those are right."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torchvision.ops as peer

import jaxloss
from jaxloss import boxes

LOSSES = [
    (jaxloss.giou_loss, peer.generalized_box_iou_loss),
    (jaxloss.diou_loss, peer.distance_box_iou_loss),
    (jaxloss.ciou_loss, peer.complete_box_iou_loss),
]
SIMILARITIES = [
    (boxes.iou, peer.box_iou),
    (boxes.giou, peer.generalized_box_iou),
    (boxes.diou, peer.distance_box_iou),
    (boxes.ciou, peer.complete_box_iou),
]


def pairs(count=2000, seed=0):
    """Boxes of pixels, a third of them apart, none with edges in common."""
    rng = np.random.default_rng(seed)
    centers = rng.uniform(0, 300, (count, 1, 2)) + rng.normal(0, 25, (count, 2, 2))
    sides = np.exp(rng.uniform(1, 5.5, (count, 2, 2)))
    found = np.concatenate([centers - sides / 2, centers + sides / 2], -1)
    return found[:, 0], found[:, 1]


@pytest.mark.parametrize(("ours", "theirs"), LOSSES)
def test_value_and_gradient(ours, theirs):
    p, t = pairs()
    tensors = [torch.tensor(x, requires_grad=True) for x in (p, t)]
    expected = theirs(*tensors)
    slopes = [slope.numpy() for slope in torch.autograd.grad(expected.sum(), tensors)]
    with jax.enable_x64(True):
        found, pull = jax.vjp(ours, p, t)
        gradients = pull(jnp.ones_like(found))
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-6)
    for gradient, slope in zip(gradients, slopes, strict=True):
        largest = np.abs(slope).max(-1, keepdims=True)
        np.testing.assert_allclose(gradient / largest, slope / largest, atol=1e-5)


@pytest.mark.parametrize(("ours", "theirs"), LOSSES)
def test_float32_values(ours, theirs):
    p, t = (x.astype(np.float32) for x in pairs())
    expected = theirs(torch.tensor(p), torch.tensor(t)).numpy()
    np.testing.assert_allclose(ours(p, t), expected, rtol=1e-5)


@pytest.mark.parametrize(("ours", "theirs"), SIMILARITIES)
def test_all_pairs(ours, theirs):
    a, b = (x[:n].astype(np.float32) for x, n in zip(pairs(), (200, 70), strict=True))
    expected = theirs(torch.tensor(a), torch.tensor(b)).numpy()
    np.testing.assert_allclose(boxes.pairwise(ours)(a, b), expected, atol=1e-5)


@pytest.mark.parametrize("source", ["xyxy", "xywh", "cxcywh"])
@pytest.mark.parametrize("target", ["xyxy", "xywh", "cxcywh"])
def test_formats(source, target):
    p = pairs()[0].astype(np.float32)
    expected = peer.box_convert(torch.tensor(p), source, target).numpy()
    np.testing.assert_allclose(boxes.convert(p, source, target), expected, rtol=1e-6, atol=1e-4)


def test_area_and_clip():
    p = pairs()[0].astype(np.float32)
    np.testing.assert_allclose(boxes.area(p), peer.box_area(torch.tensor(p)), rtol=1e-6)
    expected = peer.clip_boxes_to_image(torch.tensor(p), (200, 150))
    np.testing.assert_array_equal(boxes.clip(p, 200, 150), expected)


@pytest.mark.parametrize(("ours", "theirs"), LOSSES)
def test_a_tiny_box_against_itself(ours, theirs):
    tiny = np.array([[0.5, 0.5, 0.5002, 0.5002]], np.float32)
    assert ours(tiny, tiny)[0] == 0
    assert theirs(torch.tensor(tiny), torch.tensor(tiny))[0] > 0.7


def test_a_box_without_height_has_a_gradient():
    flat = torch.tensor([[1.0, 2.0, 5.0, 2.0]], requires_grad=True)
    target = np.array([[1.0, 1.0, 4.0, 5.0]], np.float32)
    loss = peer.complete_box_iou_loss(flat, torch.tensor(target)).sum()
    assert torch.autograd.grad(loss, flat)[0].isnan().any()
    found = jax.grad(lambda p: jaxloss.ciou_loss(p, target).sum())(flat.detach().numpy())
    assert np.isfinite(found).all()
