"""Losses that bend cross-entropy agree with optax and with their papers' forms in PyTorch."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from torch.nn import functional

import jaxloss
from bench.peers.test_classification import agree

RNG = np.random.default_rng(2)
X = (3 * RNG.standard_normal((64, 7))).astype(np.float32)
LABELS = RNG.integers(0, 7, 64).astype(np.int32)
ROWS = RNG.dirichlet(np.ones(7), 64).astype(np.float32)
SIGNS = np.where(RNG.random((64, 7)) < 0.5, np.float32(-1), np.float32(1))


def right(x):
    return x.softmax(-1).gather(1, torch.tensor(LABELS, dtype=torch.long)[:, None])[:, 0]


@pytest.mark.parametrize("exponent", [0.7, 0.2, 1.0])
def test_generalized_cross_entropy(exponent):
    agree(
        lambda x: jaxloss.generalized_cross_entropy(x, LABELS, exponent=exponent),
        lambda x: (1 - right(x).pow(exponent)) / exponent,
        X,
    )


@pytest.mark.parametrize(("alpha", "beta", "floor"), [(0.1, 1.0, 1e-4), (6.0, 0.1, np.exp(-4))])
def test_symmetric_cross_entropy(alpha, beta, floor):
    def theirs(x):
        one_hot = functional.one_hot(torch.tensor(LABELS, dtype=torch.long), 7).float()
        reverse = -(x.softmax(-1) * one_hot.clamp(min=floor).log()).sum(-1)
        return -alpha * right(x).log() + beta * reverse

    setting = {"alpha": alpha, "beta": beta, "log_floor": np.float32(np.log(floor))}
    agree(lambda x: jaxloss.symmetric_cross_entropy(x, LABELS, **setting), theirs, X)


@pytest.mark.parametrize(("t1", "t2"), [(0.8, 1.2), (0.5, 2.0)])
def test_bi_tempered_logistic_loss(t1, t2):
    """The authors' fixed point, with steps enough."""

    def theirs(x):
        highest = x.max(-1, keepdim=True).values
        moved = x - highest
        for _ in range(100):
            total = (1 + (1 - t2) * moved).pow(1 / (1 - t2)).sum(-1, keepdim=True)
            moved = (x - highest) * total.pow(1 - t2)
        total = (1 + (1 - t2) * moved).pow(1 / (1 - t2)).sum(-1, keepdim=True)
        norm = -((1 / total).pow(1 - t2) - 1) / (1 - t2) + highest
        p = (1 + (1 - t2) * (x - norm)).pow(1 / (1 - t2))
        y = torch.tensor(ROWS)
        costs = y * (y.pow(1 - t1) - p.pow(1 - t1)) / (1 - t1)
        return (costs - (y.pow(2 - t1) - p.pow(2 - t1)) / (2 - t1)).sum(-1)

    setting = {"temperature1": t1, "temperature2": t2}
    agree(lambda x: jaxloss.bi_tempered_logistic_loss(x, ROWS, **setting), theirs, X / 2)


@pytest.mark.parametrize(
    ("name", "y", "setting"),
    [
        ("poly_loss_cross_entropy", ROWS, {}),
        ("poly_loss_cross_entropy", ROWS, {"epsilon": -1.0}),
        ("safe_softmax_cross_entropy", ROWS, {}),
        ("hinge_loss", SIGNS, {}),
        ("multiclass_hinge_loss", LABELS, {}),
    ],
)
def test_optax_has_the_same_values_and_gradients(name, y, setting):
    ours, theirs = getattr(jaxloss, name), getattr(optax.losses, name)
    found, expected = (jax.vjp(lambda x, f=loss: f(x, y, **setting), X) for loss in (ours, theirs))
    np.testing.assert_allclose(found[0], expected[0], rtol=2e-5, atol=1e-6)
    weights = jnp.linspace(0.5, 1.5, found[0].size).reshape(found[0].shape)
    np.testing.assert_allclose(found[1](weights)[0], expected[1](weights)[0], rtol=2e-5, atol=1e-6)
