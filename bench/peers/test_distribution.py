"""Values and gradients of divergences agree with PyTorch's, optax's and SciPy's functions."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy
from torch.nn import functional

import jaxloss

RNG = np.random.default_rng(0)
P, T = (RNG.dirichlet(np.ones(7), 64).astype(np.float32) for _ in range(2))
KEPT = RNG.random((64, 7)) < 0.6
NAMES = ("kl_divergence", "kl_divergence_with_log_targets", "generalized_kl_divergence")


@pytest.mark.parametrize("logarithms", [False, True])
def test_kl_divergence(logarithms):
    arrays = np.log(P), np.log(T) if logarithms else T
    loss = jaxloss.kl_divergence_with_log_targets if logarithms else jaxloss.kl_divergence
    found, pull = jax.vjp(loss, *arrays)
    leaves = [torch.tensor(array, requires_grad=True) for array in arrays]
    expected = functional.kl_div(*leaves, reduction="none", log_target=logarithms).sum(-1)
    expected.sum().backward()
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-5, atol=2e-6)
    for slope, leaf in zip(pull(jnp.ones_like(found)), leaves, strict=True):
        np.testing.assert_allclose(slope, leaf.grad.numpy(), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("setting", [{}, {"axis": 0}, {"axis": None}, {"axis": -1, "where": KEPT}])
@pytest.mark.parametrize("name", NAMES)
def test_optax(name, setting):
    arrays = np.log(P), np.log(T) if "log_targets" in name else T
    ours, theirs = (
        jax.jit(jax.value_and_grad(lambda *a, f=f: jnp.sum(f(*a, **setting)), (0, 1)))(*arrays)
        for f in (getattr(jaxloss, name), getattr(optax.losses, name))
    )
    for found, expected in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("setting", [{}, {"axis": 0}, {"axis": None}])
def test_smooth_labels(setting):
    found = jaxloss.smooth_labels(T, 0.3, **setting)
    np.testing.assert_allclose(found, optax.smooth_labels(T, 0.3, **setting), rtol=1e-6)


@pytest.mark.parametrize("base", [None, 2.0])
def test_scipy(base):
    p, t = P.astype(np.float64), T.astype(np.float64)
    np.testing.assert_allclose(
        jaxloss.jensen_shannon_divergence(P, T, base=base),
        jensenshannon(p, t, base=base, axis=-1) ** 2,
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        jaxloss.entropy(P, base=base), entropy(p, base=base, axis=-1), rtol=1e-5
    )
