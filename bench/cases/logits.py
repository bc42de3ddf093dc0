"""Regression and classification: optax, torch, torchvision."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from torch.nn import functional
from torchvision.ops import sigmoid_focal_loss

import jaxloss
from bench.cases.case import Arrays, Case, logits

DENSE = (8, 16384, 20)
IMAGE_CLASSES, WORDS = (4096, 1000), (1024, 32768)
IGNORED = 255


def torch_cross_entropy(x: torch.Tensor, y: torch.Tensor, **options: Any) -> torch.Tensor:
    return functional.cross_entropy(x, y.long(), reduction="none", **options)


def torch_softmax_focal(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    cost = torch_cross_entropy(x, y)
    return (1 - torch.exp(-cost)) ** 2 * cost


def optax_softmax_focal(x: jax.Array, y: jax.Array) -> jax.Array:
    cost = optax.losses.softmax_cross_entropy_with_integer_labels(x, y)
    return (1 - jnp.exp(-cost)) ** 2 * cost


def one_hot_focal(x: jax.Array, y: jax.Array) -> jax.Array:
    one_hot = jax.nn.one_hot(y, x.shape[-1], dtype=x.dtype)
    return optax.losses.sigmoid_focal_loss(x, one_hot, alpha=0.25)


def our_one_hot_focal(x: jax.Array, y: jax.Array) -> jax.Array:
    return jaxloss.sigmoid_focal_loss(x, jax.nn.one_hot(y, x.shape[-1], dtype=x.dtype), alpha=0.25)


def torch_one_hot_focal(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    one_hot = functional.one_hot(y.long(), x.shape[-1]).to(x.dtype)
    return sigmoid_focal_loss(x, one_hot, alpha=0.25)


def class_weights() -> np.ndarray:
    return np.linspace(0.5, 2.0, IMAGE_CLASSES[-1], dtype=np.float32)


def optax_weighted(x: jax.Array, y: jax.Array, **smoothing: float) -> jax.Array:
    """Class weights, smoothing and an ignored label, as written around optax's functions."""
    kept = y != IGNORED
    labels = optax.losses.smooth_labels(jax.nn.one_hot(y, x.shape[-1]), 0.1)
    losses = optax.losses.softmax_cross_entropy(x, labels * jnp.asarray(class_weights()))
    return jnp.where(kept, losses, 0)


def torch_weighted(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    weights = torch.as_tensor(class_weights(), device=x.device)
    return torch_cross_entropy(x, y, weight=weights, label_smoothing=0.1, ignore_index=IGNORED)


def our_weighted(x: jax.Array, y: jax.Array) -> jax.Array:
    return jaxloss.softmax_cross_entropy_with_integer_labels(
        x, y, class_weights=jnp.asarray(class_weights()), label_smoothing=0.1, ignore_label=IGNORED
    )


def dense_and_integer(random: np.random.Generator) -> Arrays:
    return logits(*DENSE, labels="integer")(random)


CASES = [
    Case(
        "squared error (8, 16384, 20)",
        logits(*DENSE, labels="real"),
        jaxloss.squared_error,
        {"optax": optax.losses.squared_error},
        {"torch": lambda x, y: functional.mse_loss(x, y, reduction="none")},
    ),
    Case(
        "smooth L1 (8, 16384, 20)",
        logits(*DENSE, labels="real"),
        jaxloss.smooth_l1_loss,
        {"optax Huber": optax.losses.huber_loss},
        {"torch": lambda x, y: functional.smooth_l1_loss(x, y, reduction="none")},
    ),
    Case(
        "Huber (8, 16384, 20)",
        logits(*DENSE, labels="real"),
        lambda x, y: jaxloss.huber_loss(x, y, delta=0.5),
        {"optax": lambda x, y: optax.losses.huber_loss(x, y, delta=0.5)},
        {"torch": lambda x, y: functional.huber_loss(x, y, reduction="none", delta=0.5)},
    ),
    Case(
        "binary cross-entropy (8, 16384, 20)",
        logits(*DENSE, labels="binary"),
        jaxloss.sigmoid_binary_cross_entropy,
        {"optax": optax.losses.sigmoid_binary_cross_entropy},
        {"torch": lambda x, y: functional.binary_cross_entropy_with_logits(x, y, reduction="none")},
        better_form=True,
    ),
    Case(
        "sigmoid focal (8, 16384, 20)",
        logits(*DENSE, labels="binary"),
        lambda x, y: jaxloss.sigmoid_focal_loss(x, y, alpha=0.25),
        {"optax": lambda x, y: optax.losses.sigmoid_focal_loss(x, y, alpha=0.25)},
        {"torchvision": sigmoid_focal_loss},
        better_form=True,
    ),
    Case(
        "sigmoid focal (8, 16384, 20), integer labels",
        dense_and_integer,
        our_one_hot_focal,
        {"optax": one_hot_focal},
        {"torchvision": torch_one_hot_focal},
        better_form=True,
    ),
    Case(
        "sigmoid focal (8, 16384, 20), bfloat16",
        logits(*DENSE, labels="binary"),
        lambda x, y: jaxloss.sigmoid_focal_loss(x, y, alpha=0.25),
        {"optax": lambda x, y: optax.losses.sigmoid_focal_loss(x, y, alpha=0.25)},
        {"torchvision": sigmoid_focal_loss},
        better_form=True,
        dtype="bfloat16",
        tolerance=3e-2,
    ),
    Case(
        "softmax cross-entropy (4096, 1000)",
        logits(*IMAGE_CLASSES, labels="integer"),
        jaxloss.softmax_cross_entropy_with_integer_labels,
        {"optax": optax.losses.softmax_cross_entropy_with_integer_labels},
        {"torch": torch_cross_entropy},
    ),
    Case(
        "softmax cross-entropy (1024, 32768)",
        logits(*WORDS, labels="integer"),
        jaxloss.softmax_cross_entropy_with_integer_labels,
        {"optax": optax.losses.softmax_cross_entropy_with_integer_labels},
        {"torch": torch_cross_entropy},
    ),
    Case(
        "softmax cross-entropy (4096, 1000), bfloat16",
        logits(*IMAGE_CLASSES, labels="integer"),
        jaxloss.softmax_cross_entropy_with_integer_labels,
        {"optax": optax.losses.softmax_cross_entropy_with_integer_labels},
        {"torch": torch_cross_entropy},
        dtype="bfloat16",
        tolerance=3e-2,
    ),
    Case(
        "softmax cross-entropy (4096, 1000), soft labels",
        logits(*IMAGE_CLASSES, labels="soft"),
        jaxloss.softmax_cross_entropy,
        {"optax": optax.losses.softmax_cross_entropy},
        {"torch": lambda x, y: functional.cross_entropy(x, y, reduction="none")},
    ),
    Case(
        "weighted, smoothed cross-entropy, ignored label (4096, 1000)",
        logits(*IMAGE_CLASSES, labels="integer"),
        our_weighted,
        {"optax": optax_weighted},
        {"torch": torch_weighted},
        better_form=True,
    ),
    Case(
        "softmax focal (4096, 1000)",
        logits(*IMAGE_CLASSES, labels="integer"),
        jaxloss.softmax_focal_loss,
        {"optax": optax_softmax_focal},
        {"torch": torch_softmax_focal},
    ),
]
