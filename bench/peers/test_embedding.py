"""Values and gradients of embedding losses agree with PyTorch's functions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn import functional

import jaxloss

RNG = np.random.default_rng(0)
A, P, N = RNG.standard_normal((3, 64, 16)).astype(np.float32)
LABELS = RNG.integers(0, 7, 64)
KERNEL = RNG.standard_normal((16, 7)).astype(np.float32)


def agree(ours, theirs, *arrays, tolerance=1e-5):
    """Values, and the gradients of their sum weighted unevenly."""
    found, pull = jax.vjp(ours, *arrays)
    weights = np.linspace(0.5, 1.5, found.size).reshape(found.shape).astype(np.float32)
    leaves = [torch.tensor(array, requires_grad=True) for array in arrays]
    expected = theirs(*leaves)
    expected.backward(torch.tensor(weights))
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=tolerance, atol=tolerance)
    for slope, leaf in zip(pull(jnp.asarray(weights)), leaves, strict=True):
        np.testing.assert_allclose(slope, leaf.grad.numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("degree", [1, 2, 3])
@pytest.mark.parametrize("margin", [1.0, 7.5])
def test_triplet_margin_loss(margin, degree):
    """torch adds its eps to the differences, so that both go without."""
    agree(
        lambda *x: jaxloss.triplet_margin_loss(*x, margin=margin, norm_degree=degree, eps=0.0),
        lambda *x: functional.triplet_margin_loss(
            *x, margin=margin, p=degree, eps=0.0, reduction="none"
        ),
        A,
        P,
        N,
    )


def test_info_nce_loss():
    agree(
        lambda q, k: jaxloss.info_nce_loss(q, k, temperature=2.0),
        lambda q, k: functional.cross_entropy(q @ k.T / 2, torch.arange(64), reduction="none"),
        A,
        P,
    )


def test_supervised_contrastive_loss_of_one_positive():
    """Cross-entropy against the other view, without the example itself."""
    labels = np.tile(np.arange(32), 2)

    def theirs(x):
        logits = (x @ x.T / 3).fill_diagonal_(-torch.inf)
        other = torch.arange(64).roll(32)
        return functional.cross_entropy(logits, other, reduction="none")

    agree(lambda x: jaxloss.supervised_contrastive_loss(x, labels, temperature=3.0), theirs, A)


@pytest.mark.parametrize("margin", [0.0, 0.5])
def test_arcface_logits(margin):
    def theirs(x, kernel):
        cosines = functional.normalize(x) @ functional.normalize(kernel, dim=0)
        own = functional.one_hot(torch.tensor(LABELS), 7).bool()
        return 8 * torch.where(own, torch.cos(torch.arccos(cosines) + margin), cosines)

    agree(
        lambda x, kernel: jaxloss.arcface_logits(x, kernel, LABELS, margin=margin, scale=8.0),
        theirs,
        A,
        KERNEL,
        tolerance=2e-5,
    )


def test_cosface_logits():
    def theirs(x, kernel):
        cosines = functional.normalize(x) @ functional.normalize(kernel, dim=0)
        return 8 * (cosines - 0.35 * functional.one_hot(torch.tensor(LABELS), 7))

    agree(lambda x, kernel: jaxloss.cosface_logits(x, kernel, LABELS, scale=8.0), theirs, A, KERNEL)
