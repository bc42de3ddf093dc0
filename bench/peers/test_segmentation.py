"""Values and gradients are those of the authors in PyTorch, and of MONAI and smp if there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn import functional

import jaxloss

RNG = np.random.default_rng(0)
P = RNG.uniform(0.02, 0.98, (3, 16, 12, 4)).astype(np.float32)
LABELS = RNG.integers(0, 4, (3, 16, 12))
Y = np.eye(4, dtype=np.float32)[LABELS]


def agree(ours, theirs, x, rtol=1e-5):
    """Values, and the gradient of their sum weighted unevenly."""
    found, pull = jax.vjp(ours, x)
    weights = np.linspace(0.5, 1.5, found.size).reshape(found.shape).astype(np.float32)
    leaf = torch.tensor(x, requires_grad=True)
    expected = theirs(leaf)
    expected.backward(torch.tensor(weights))
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=rtol, atol=1e-6)
    slope = pull(jnp.asarray(weights))[0]
    np.testing.assert_allclose(slope, leaf.grad.numpy(), rtol=rtol, atol=1e-6)


def channels_first(x):
    return torch.as_tensor(x).movedim(-1, 1)


def torch_tversky(p, y, alpha, beta, smooth):
    p, y = (channels_first(x).flatten(2) for x in (p, y))
    shared = (p * y).sum(-1)
    cost = alpha * (p * (1 - y)).sum(-1) + beta * ((1 - p) * y).sum(-1)
    return 1 - (shared + smooth) / (shared + cost + smooth)


@pytest.mark.parametrize(("alpha", "beta", "smooth"), [(0.3, 0.7, 0.0), (0.9, 0.2, 1.5)])
def test_tversky(alpha, beta, smooth):
    agree(
        lambda p: jaxloss.tversky_loss(p, Y, alpha=alpha, beta=beta, smooth=smooth),
        lambda p: torch_tversky(p, Y, alpha, beta, smooth),
        P,
    )


def lovasz_steps(truth):
    """The authors' `lovasz_grad`."""
    total = truth.sum()
    jaccard = 1 - (total - truth.cumsum(0)) / (total + (1 - truth).cumsum(0))
    jaccard[1:] = jaccard[1:] - jaccard[:-1]
    return jaccard


def torch_lovasz(errors, y):
    order = torch.argsort(errors, descending=True)
    return torch.dot(functional.relu(errors[order]), lovasz_steps(y[order]))


def each_region(function, *maps):
    maps = [channels_first(x).flatten(2) for x in maps]
    return torch.stack(
        [
            torch.stack([function(*(x[i, c] for x in maps)) for c in range(maps[0].shape[1])])
            for i in range(len(maps[0]))
        ]
    )


def test_lovasz_softmax():
    agree(
        lambda p: jaxloss.lovasz_softmax_loss(p, Y),
        lambda p: each_region(lambda p, y: torch_lovasz((y - p).abs(), y), p, torch.tensor(Y)),
        P,
        rtol=1e-4,
    )


def test_lovasz_hinge():
    x = np.log(P / (1 - P))
    agree(
        lambda x: jaxloss.lovasz_hinge_loss(x, Y, axis=(-3, -2)),
        lambda x: each_region(
            lambda x, y: torch_lovasz(1 - x * (2 * y - 1), y), x, torch.tensor(Y)
        ),
        x,
        rtol=1e-4,
    )


def torch_skeleton(x, iterations):
    def erode(x):
        down = -functional.max_pool2d(-x, (3, 1), (1, 1), (1, 0))
        return torch.min(down, -functional.max_pool2d(-x, (1, 3), (1, 1), (0, 1)))

    def opened(x):
        return functional.max_pool2d(erode(x), (3, 3), (1, 1), (1, 1))

    skeleton = functional.relu(x - opened(x))
    for _ in range(iterations):
        x = erode(x)
        d = functional.relu(x - opened(x))
        skeleton = skeleton + functional.relu(d - skeleton * d)
    return skeleton


def test_centerline_dice():
    def theirs(p):
        p, y = channels_first(p), channels_first(Y)
        p_line, y_line = torch_skeleton(p, 4), torch_skeleton(y, 4)
        precision = ((p_line * y).sum((2, 3)) + 1) / (p_line.sum((2, 3)) + 1)
        sensitivity = ((y_line * p).sum((2, 3)) + 1) / (y_line.sum((2, 3)) + 1)
        return 1 - 2 * precision * sensitivity / (precision + sensitivity)

    agree(lambda p: jaxloss.centerline_dice_loss(p, Y, iterations=4), theirs, P)


def test_distances_are_scipys():
    edt = pytest.importorskip("scipy.ndimage").distance_transform_edt
    masks = RNG.random((3, 40, 50)) < 0.2
    expected = [edt(~m) * ~m - (edt(m) - 1) * m for m in masks]
    np.testing.assert_allclose(jaxloss.signed_distance_map(masks), expected, atol=1e-5)


@pytest.mark.parametrize(("squared", "jaccard"), [(False, False), (True, False), (False, True)])
def test_monais_dice(squared, jaccard):
    losses = pytest.importorskip("monai.losses")
    theirs = losses.DiceLoss(squared_pred=squared, jaccard=jaccard, reduction="none")

    def ours(p):
        if jaccard:
            return jaxloss.jaccard_loss(p, Y, smooth=0.5e-5)
        return jaxloss.dice_loss(p, Y, squared=squared, smooth=1e-5)

    agree(ours, lambda p: theirs(channels_first(p), channels_first(Y))[..., 0, 0], P)


def test_smps_tversky():
    losses = pytest.importorskip("segmentation_models_pytorch").losses
    theirs = losses.TverskyLoss("multiclass", from_logits=False, alpha=0.3, beta=0.7)
    agree(
        lambda p: jnp.mean(jaxloss.tversky_loss(p, Y, axis=(0, 1, 2))),
        lambda p: theirs(channels_first(p), torch.tensor(LABELS)),
        P,
    )
