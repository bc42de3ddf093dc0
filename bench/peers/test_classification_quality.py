"""Losses of dense detectors agree with the forms that are in use, written in PyTorch."""

import numpy as np
import pytest
import torch
from torch.nn import functional
from torchvision.ops import sigmoid_focal_loss

import jaxloss
from bench.peers.test_classification import agree

RNG = np.random.default_rng(1)
X = (3 * RNG.standard_normal((64, 7))).astype(np.float32)
Y = np.where(RNG.random((64, 7)) < 0.5, 0, RNG.random((64, 7))).astype(np.float32)
BINS = (2 * RNG.standard_normal((64, 17))).astype(np.float32)
PLACES = RNG.uniform(0, 15.99, 64).astype(np.float32)


def cross_entropy(x, y):
    return functional.binary_cross_entropy_with_logits(x, y, reduction="none")


def test_quality_focal_loss():
    y = torch.tensor(Y)
    agree(
        lambda x: jaxloss.quality_focal_loss(x, Y),
        lambda x: (y - x.sigmoid()).abs().pow(2) * cross_entropy(x, y),
        X,
    )


@pytest.mark.parametrize(("alpha", "gamma"), [(0.75, 2.0), (0.3, 1.5)])
def test_varifocal_loss(alpha, gamma):
    y = torch.tensor(Y)

    def theirs(x):
        weight = torch.where(y > 0, y, alpha * (x.sigmoid() - y).abs().pow(gamma))
        return cross_entropy(x, y) * weight

    agree(lambda x: jaxloss.varifocal_loss(x, Y, alpha=alpha, gamma=gamma), theirs, X)


def test_gaussian_focal_loss():
    heat = np.where(Y == 0, np.float32(1), Y)
    y = torch.tensor(heat)

    def theirs(x):
        p = x.sigmoid()
        peaks = -(p + 1e-12).log() * (1 - p).pow(2) * y.eq(1)
        return peaks - (1 - p + 1e-12).log() * p.pow(2) * (1 - y).pow(4)

    agree(lambda x: jaxloss.gaussian_focal_loss(x, heat), theirs, X)


def test_distribution_focal_loss():
    y = torch.tensor(PLACES)

    def theirs(x):
        left = y.long()
        costs = [functional.cross_entropy(x, left + i, reduction="none") for i in (0, 1)]
        return costs[0] * (left + 1 - y) + costs[1] * (y - left)

    agree(lambda x: jaxloss.distribution_focal_loss(x, PLACES), theirs, BINS)


def asymmetric(x, y):
    """Factors, and the cross-entropy that they multiply."""
    positive, negative = x.sigmoid(), (1 - x.sigmoid() + 0.05).clamp(max=1)
    cost = -(y * positive.clamp(min=1e-8).log() + (1 - y) * negative.clamp(min=1e-8).log())
    right = positive * y + negative * (1 - y)
    return (1 - right).pow(1 * y + 4 * (1 - y)), cost


def test_asymmetric_loss():
    labels = (Y > 0.5).astype(np.float32)

    def theirs(x):
        factor, cost = asymmetric(x, torch.tensor(labels))
        return factor * cost

    agree(lambda x: jaxloss.asymmetric_loss(x, labels), theirs, X)


def test_asymmetric_loss_differs_from_the_form_with_constant_factors_in_the_gradient_alone():
    labels = (Y > 0.5).astype(np.float32)

    def theirs(x):
        factor, cost = asymmetric(x, torch.tensor(labels))
        return factor.detach() * cost

    leaf = torch.tensor(X)
    np.testing.assert_allclose(
        jaxloss.asymmetric_loss(X, labels), theirs(leaf).numpy(), rtol=1e-5, atol=1e-6
    )
    with pytest.raises(AssertionError):
        agree(lambda x: jaxloss.asymmetric_loss(x, labels), theirs, X)


def test_asymmetric_loss_without_asymmetry_is_the_focal_loss():
    labels = (Y > 0.5).astype(np.float32)
    setting = {"positive_gamma": 2.0, "negative_gamma": 2.0, "margin": 0.0}
    agree(
        lambda x: jaxloss.asymmetric_loss(x, labels, **setting),
        lambda x: sigmoid_focal_loss(x, torch.tensor(labels), alpha=-1, gamma=2.0),
        X,
    )
