"""Values and gradients agree with PyTorch's and torchvision's functions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn import functional
from torchvision.ops import sigmoid_focal_loss

import jaxloss

RNG = np.random.default_rng(0)
X = (3 * RNG.standard_normal((64, 7))).astype(np.float32)
Y = RNG.random((64, 7)).astype(np.float32)
P = RNG.uniform(0.01, 0.99, (64, 7)).astype(np.float32)
MAPS = (3 * RNG.standard_normal((3, 7, 4, 5))).astype(np.float32)
MAP_LABELS = RNG.integers(0, 7, (3, 4, 5)).astype(np.int32)
DISTRIBUTIONS = np.moveaxis(RNG.dirichlet(np.ones(7), (3, 4, 5)), -1, 1).astype(np.float32)
WEIGHTS = RNG.uniform(0.2, 4, 7).astype(np.float32)
IGNORED = np.where(RNG.random(MAP_LABELS.shape) < 0.3, -100, MAP_LABELS).astype(np.int32)


def agree(ours, theirs, x):
    """Values, and the gradient of their sum weighted unevenly, to 1e-5."""
    found, pull = jax.vjp(ours, x)
    weights = np.linspace(0.5, 1.5, found.size).reshape(found.shape).astype(np.float32)
    leaf = torch.tensor(np.ascontiguousarray(x), requires_grad=True)
    expected = theirs(leaf)
    expected.backward(torch.tensor(weights))
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        pull(jnp.asarray(weights))[0], leaf.grad.numpy(), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("y", [Y, np.round(Y)])
@pytest.mark.parametrize("weight", [None, 2.5, WEIGHTS])
def test_sigmoid_binary_cross_entropy(weight, y):
    agree(
        lambda x: jaxloss.sigmoid_binary_cross_entropy(x, y, positive_weight=weight),
        lambda x: functional.binary_cross_entropy_with_logits(
            x,
            torch.tensor(y),
            reduction="none",
            pos_weight=None if weight is None else torch.as_tensor(weight),
        ),
        X,
    )


@pytest.mark.parametrize("y", [Y, np.round(Y)])
@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (-1, 1.5), (0.7, 1.0), (0.4, 3.3)])
def test_sigmoid_focal_loss(alpha, gamma, y):
    agree(
        lambda x: jaxloss.sigmoid_focal_loss(x, y, None if alpha < 0 else alpha, gamma),
        lambda x: sigmoid_focal_loss(x, torch.tensor(y), alpha, gamma),
        X,
    )


@pytest.mark.parametrize("y", [Y, np.round(Y)])
def test_binary_cross_entropy(y):
    extremes = np.concatenate([P, np.round(P)]).astype(np.float32)
    labels = np.concatenate([y, np.round(y)])
    agree(
        lambda p: jaxloss.binary_cross_entropy(p, labels),
        lambda p: functional.binary_cross_entropy(p, torch.tensor(labels), reduction="none"),
        extremes,
    )


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("labels", [MAP_LABELS, IGNORED])
def test_cross_entropy_with_integer_labels(labels, smoothing, weights):
    setting = {"weight": None if weights is None else torch.tensor(weights)}
    theirs = torch.tensor(labels, dtype=torch.long)
    ours = {"class_weights": weights, "ignore_label": -100}
    agree(
        lambda x: jaxloss.softmax_cross_entropy_with_integer_labels(
            x, labels, 1, label_smoothing=smoothing, **ours
        ),
        lambda x: functional.cross_entropy(
            x, theirs, reduction="none", label_smoothing=smoothing, **setting
        ),
        MAPS,
    )

    def mean(x):
        losses = jaxloss.softmax_cross_entropy_with_integer_labels(
            x, labels, 1, label_smoothing=smoothing, **ours
        )
        kept = labels != -100
        if weights is None:
            return jaxloss.mean(losses, where=kept)
        return jaxloss.mean(losses, normalizer=jaxloss.class_weights_of(labels, **ours))

    agree(
        mean,
        lambda x: functional.cross_entropy(x, theirs, label_smoothing=smoothing, **setting),
        MAPS,
    )


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_with_distributions(smoothing, weights):
    agree(
        lambda x: jaxloss.softmax_cross_entropy(
            x, DISTRIBUTIONS, 1, class_weights=weights, label_smoothing=smoothing
        ),
        lambda x: functional.cross_entropy(
            x,
            torch.tensor(DISTRIBUTIONS),
            weight=None if weights is None else torch.tensor(weights),
            reduction="none",
            label_smoothing=smoothing,
        ),
        MAPS,
    )


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("labels", [MAP_LABELS, IGNORED])
def test_negative_log_likelihood(labels, weights):
    agree(
        lambda x: jaxloss.negative_log_likelihood(
            x, labels, axis=1, class_weights=weights, ignore_label=-100
        ),
        lambda x: functional.nll_loss(
            x,
            torch.tensor(labels, dtype=torch.long),
            weight=None if weights is None else torch.tensor(weights),
            reduction="none",
        ),
        np.log(DISTRIBUTIONS),
    )
