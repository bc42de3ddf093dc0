"""kornia, MONAI, segmentation_models.pytorch and pytorch-metric-learning, where they are right."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jaxloss

kornia = pytest.importorskip("kornia.losses")
monai = pytest.importorskip("monai.losses")
smp = pytest.importorskip("segmentation_models_pytorch.losses")
metric_learning = pytest.importorskip("pytorch_metric_learning.losses")

RNG = np.random.default_rng(0)
LOGITS = RNG.standard_normal((3, 8, 6, 4)).astype(np.float32)
LABELS = RNG.integers(0, 4, (3, 8, 6))
VECTORS = RNG.standard_normal((12, 5)).astype(np.float32)
IDENTITIES = np.arange(12) % 4


def agree(ours: Callable[..., Any], theirs: Callable[..., Any], x: np.ndarray) -> None:
    """Scalars and their gradients."""
    found, slope = jax.value_and_grad(ours)(jnp.asarray(x))
    leaf = torch.tensor(x, requires_grad=True)
    expected = theirs(leaf)
    expected.backward()
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-5)
    np.testing.assert_allclose(slope, leaf.grad.numpy(), rtol=1e-5, atol=1e-7)


def first(x: torch.Tensor) -> torch.Tensor:
    """Channels first."""
    return x.movedim(-1, 1)


def one_hot() -> torch.Tensor:
    return first(torch.nn.functional.one_hot(torch.tensor(LABELS), 4)).float()


def targets() -> jax.Array:
    return jax.nn.one_hot(LABELS, 4)


def probabilities(x: jax.Array) -> jax.Array:
    return jax.nn.softmax(x)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("background", [False, True])
def test_monai_dice(squared: bool, background: bool) -> None:
    start = 0 if background else 1
    theirs = monai.DiceLoss(
        include_background=background,
        softmax=True,
        squared_pred=squared,
        smooth_nr=1e-5,
        smooth_dr=1e-5,
    )

    def ours(x: jax.Array) -> jax.Array:
        p, y = probabilities(x)[..., start:], targets()[..., start:]
        return jaxloss.mean(jaxloss.dice_loss(p, y, smooth=1e-5, squared=squared))

    agree(ours, lambda x: theirs(first(x), one_hot()), LOGITS)


def test_monai_jaccard_and_tversky() -> None:
    # Its Jaccard smooths twice the fraction's sides.
    jaccard = monai.DiceLoss(softmax=True, jaccard=True, smooth_nr=2.0, smooth_dr=2.0)
    tversky = monai.TverskyLoss(softmax=True, alpha=0.3, beta=0.7, smooth_nr=1.0, smooth_dr=1.0)
    pairs = [
        (lambda p: jaxloss.jaccard_loss(p, targets(), smooth=1.0), jaccard),
        (lambda p: jaxloss.tversky_loss(p, targets(), alpha=0.3, beta=0.7, smooth=1.0), tversky),
    ]
    for ours, theirs in pairs:
        agree(
            lambda x, ours=ours: jaxloss.mean(ours(probabilities(x))),
            lambda x, theirs=theirs: theirs(first(x), one_hot()),
            LOGITS,
        )


def test_monai_focal() -> None:
    sigmoid = monai.FocalLoss(gamma=1.5, alpha=0.3)

    def ours(x: jax.Array) -> jax.Array:
        return jaxloss.mean(jaxloss.sigmoid_focal_loss(x, targets(), alpha=0.3, gamma=1.5))

    agree(ours, lambda x: sigmoid(first(x), one_hot()), LOGITS)
    softmax = monai.FocalLoss(gamma=1.5, use_softmax=True, reduction="none")

    def of_classes(x: jax.Array) -> jax.Array:
        return jaxloss.mean(jaxloss.softmax_focal_loss(x, LABELS, gamma=1.5))

    agree(of_classes, lambda x: softmax(first(x), one_hot()).sum(1).mean(), LOGITS)


def test_kornia_focal() -> None:
    def ours(x: jax.Array) -> jax.Array:
        return jnp.sum(jaxloss.softmax_focal_loss(x, LABELS, alpha=ALPHA, gamma=2.0))

    def theirs(x: torch.Tensor) -> torch.Tensor:
        return kornia.focal_loss(first(x), torch.tensor(LABELS), alpha=0.3, gamma=2.0).sum()

    ALPHA = np.array([0.7, 0.3, 0.3, 0.3], np.float32)
    agree(ours, theirs, LOGITS)


def test_kornia_robust_losses() -> None:
    x = (3 * RNG.standard_normal((5, 7))).astype(np.float32)
    zeros = torch.zeros(5, 7)
    pairs = [
        # Barron's alpha 1 and 0, and -2 at twice the loss.
        (1.0, lambda x: kornia.charbonnier_loss(x, zeros).mean()),
        (0.0, lambda x: kornia.cauchy_loss(x, zeros).mean()),
        (-2.0, lambda x: kornia.geman_mcclure_loss(x, zeros).mean()),
        (-np.inf, lambda x: kornia.welsch_loss(x, zeros).mean()),
    ]
    for alpha, theirs in pairs:
        agree(
            lambda x, alpha=alpha: jaxloss.mean(
                jaxloss.general_robust_loss(x, jnp.zeros((5, 7)), alpha=alpha, scale=1.0)
            ),
            theirs,
            x,
        )


def test_kornia_dice() -> None:
    def theirs(x: torch.Tensor) -> torch.Tensor:
        return kornia.dice_loss(first(x), torch.tensor(LABELS), average="macro", eps=0.0)

    def ours(x: jax.Array) -> jax.Array:
        return jaxloss.mean(jaxloss.dice_loss(probabilities(x), targets()))

    agree(ours, theirs, LOGITS)


def test_kornia_lovasz() -> None:
    def theirs(x: torch.Tensor) -> torch.Tensor:
        return kornia.lovasz_softmax_loss(first(x), torch.tensor(LABELS))

    def ours(x: jax.Array) -> jax.Array:
        return jaxloss.mean(jaxloss.lovasz_softmax_loss(probabilities(x), targets()))

    agree(ours, theirs, LOGITS)


@pytest.mark.parametrize("per_image", [False, True])
def test_smp_lovasz(per_image: bool) -> None:
    axis = (-3, -2) if per_image else (-4, -3, -2)
    theirs = smp.LovaszLoss("multiclass", per_image=per_image)

    def ours(x: jax.Array) -> jax.Array:
        losses = jaxloss.lovasz_softmax_loss(probabilities(x), targets(), axis=axis)
        return jaxloss.mean(losses)

    agree(ours, lambda x: theirs(first(x), torch.tensor(LABELS)), LOGITS)


@pytest.mark.parametrize("gamma", [1.0, 4 / 3])
def test_smp_tversky(gamma: float) -> None:
    """Over the whole batch; its power is taken of the mean over classes, and 1 here."""
    theirs = smp.TverskyLoss("multiclass", alpha=0.3, beta=0.7, gamma=gamma)

    def ours(x: jax.Array) -> jax.Array:
        p, axis = probabilities(x), (-4, -3, -2)
        losses = jaxloss.tversky_loss(p, targets(), alpha=0.3, beta=0.7, axis=axis)
        return jaxloss.mean(losses) ** gamma

    agree(ours, lambda x: theirs(first(x), torch.tensor(LABELS)), LOGITS)


def test_smp_dice_and_jaccard() -> None:
    for ours, theirs in [
        (jaxloss.dice_loss, smp.DiceLoss("multiclass")),
        (jaxloss.jaccard_loss, smp.JaccardLoss("multiclass")),
    ]:
        agree(
            lambda x, ours=ours: jaxloss.mean(ours(probabilities(x), targets(), axis=(-4, -3, -2))),
            lambda x, theirs=theirs: theirs(first(x), torch.tensor(LABELS)),
            LOGITS,
        )


def test_metric_learning_supervised_contrastive() -> None:
    theirs = metric_learning.SupConLoss(temperature=0.2)

    def ours(x: jax.Array) -> jax.Array:
        x = x / jnp.linalg.norm(x, axis=-1, keepdims=True)
        losses = jaxloss.supervised_contrastive_loss(x, IDENTITIES, temperature=0.2)
        return jaxloss.mean(losses)

    agree(ours, lambda x: theirs(x, torch.tensor(IDENTITIES)), VECTORS)


def test_metric_learning_ntxent() -> None:
    theirs = metric_learning.NTXentLoss(temperature=0.3)
    agree(
        lambda x: jaxloss.ntxent(x, IDENTITIES, temperature=0.3),
        lambda x: theirs(x, torch.tensor(IDENTITIES)),
        VECTORS,
    )


def test_metric_learning_circle() -> None:
    theirs = metric_learning.CircleLoss(m=0.4, gamma=80)
    agree(
        lambda x: jaxloss.mean(jaxloss.circle_loss(x, IDENTITIES, margin=0.4, scale=80.0)),
        lambda x: theirs(x, torch.tensor(IDENTITIES)),
        VECTORS,
    )


@pytest.mark.parametrize(
    ("make", "ours"),
    [
        (
            lambda: metric_learning.ArcFaceLoss(4, 5, margin=28.6, scale=16),
            lambda *a: jaxloss.arcface_logits(*a, margin=np.deg2rad(28.6), scale=16.0),
        ),
        (
            lambda: metric_learning.CosFaceLoss(4, 5, margin=0.3, scale=16),
            lambda *a: jaxloss.cosface_logits(*a, margin=0.3, scale=16.0),
        ),
    ],
)
def test_metric_learning_margins(make: Callable[[], Any], ours: Callable[..., Any]) -> None:
    theirs = make()
    kernel = jnp.asarray(theirs.W.detach().numpy())

    def loss(x: jax.Array) -> jax.Array:
        logits = ours(x, kernel, IDENTITIES)
        return jaxloss.mean(jaxloss.softmax_cross_entropy_with_integer_labels(logits, IDENTITIES))

    agree(loss, lambda x: theirs(x, torch.tensor(IDENTITIES)), VECTORS)
