"""Values and gradients of regression losses agree with PyTorch's and optax's functions."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from torch.nn import functional

import jaxloss

RNG = np.random.default_rng(0)
P = RNG.standard_normal((64, 7)).astype(np.float32)
T = RNG.standard_normal((64, 7)).astype(np.float32)
V = RNG.uniform(0.1, 3, (64, 7)).astype(np.float32)
KEPT = RNG.random((64, 7)) < 0.6


def agree(ours, theirs, *arrays):
    """Values, and the gradients of their sum weighted unevenly, to 1e-5."""
    found, pull = jax.vjp(ours, *arrays)
    weights = np.linspace(0.5, 1.5, found.size).reshape(found.shape).astype(np.float32)
    leaves = [torch.tensor(array, requires_grad=True) for array in arrays]
    expected = theirs(*leaves)
    expected.backward(torch.tensor(weights))
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-5, atol=2e-6)
    for slope, leaf in zip(pull(jnp.asarray(weights)), leaves, strict=True):
        np.testing.assert_allclose(slope, leaf.grad.numpy(), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("beta", [0.0, 1 / 9, 1.0])
def test_smooth_l1(beta):
    agree(
        lambda p, t: jaxloss.smooth_l1_loss(p, t, beta=beta),
        lambda p, t: functional.smooth_l1_loss(p, t, reduction="none", beta=beta),
        P,
        T,
    )


@pytest.mark.parametrize("delta", [0.3, 1.0])
def test_huber(delta):
    agree(
        lambda p, t: jaxloss.huber_loss(p, t, delta=delta),
        lambda p, t: functional.huber_loss(p, t, reduction="none", delta=delta),
        P,
        T,
    )


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("epsilon", [1e-6, 0.5])
@pytest.mark.parametrize("variance", [V, V[:, :1]])
def test_gaussian_likelihood(variance, epsilon, full):
    agree(
        lambda p, t, v: jaxloss.gaussian_nll_loss(p, t, v, epsilon=epsilon, full=full),
        lambda p, t, v: functional.gaussian_nll_loss(
            p, t, v, full=full, eps=epsilon, reduction="none"
        ),
        P,
        T,
        variance,
    )


def test_cosines():
    agree(jaxloss.cosine_similarity, lambda p, t: functional.cosine_similarity(p, t, -1), P, T)
    agree(
        jaxloss.cosine_distance, lambda p, t: 1 - functional.cosine_similarity(p, t, dim=-1), P, T
    )


def test_root_mean_squared_error():
    agree(
        jaxloss.root_mean_squared_error,
        lambda p, t: functional.mse_loss(p, t, reduction="none").mean(-1).sqrt(),
        P,
        T,
    )


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("squared_error", {}),
        ("l2_loss", {}),
        ("huber_loss", {"delta": 0.3}),
        ("log_cosh", {}),
        ("cosine_similarity", {"axis": 0}),
        ("cosine_similarity", {"epsilon": 5.0, "where": KEPT}),
        ("cosine_distance", {"axis": (0, 1)}),
        ("cosine_distance", {"epsilon": 5.0, "axis": None}),
    ],
)
def test_optax(name, setting):
    ours, theirs = (
        jax.jit(jax.value_and_grad(lambda p, f=f: jnp.sum(f(p, T, **setting))))(P)
        for f in (getattr(jaxloss, name), getattr(optax.losses, name))
    )
    for found, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-6)
