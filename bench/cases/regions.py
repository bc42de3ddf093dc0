"""Segmentation: region losses and the Lovász extension, as textbooks and authors write them."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch.nn import functional

import jaxloss
from bench.cases.case import Arrays, Case, Makers

FEW, MANY, SORTED = (8, 128, 128, 4), (4, 512, 512, 19), (4, 256, 256, 19)


def maps(*shape: int, classes_first: bool = False) -> Makers:
    """Softmax probabilities and one-hot targets that they follow."""

    def arrays(random: np.random.Generator) -> Arrays:
        labels = random.integers(0, shape[-1], shape[:-1])
        targets = np.eye(shape[-1], dtype=np.float32)[labels]
        scores = np.exp(random.standard_normal(shape, np.float32) + targets)
        made = [scores / scores.sum(-1, keepdims=True), targets]
        return [np.moveaxis(x, -1, 1).copy() if classes_first else x for x in made]

    return arrays


def tversky(
    p: Any, y: Any, *, alpha: float = 0.5, beta: float = 0.5, axis: tuple[int, int] = (-3, -2)
) -> Any:
    """The textbook's, of arrays of either library."""
    shared, excess, missing = ((a * b).sum(axis) for a, b in ((p, y), (p, 1 - y), (1 - p, y)))
    return 1 - shared / (shared + alpha * excess + beta * missing)


def dice(p: Any, y: Any, *, axis: tuple[int, int] = (-3, -2)) -> Any:
    return 1 - 2 * (p * y).sum(axis) / (p.sum(axis) + y.sum(axis))


def generalized_dice(p: Any, y: Any) -> Any:
    axis = (-3, -2)
    weights = 1 / y.sum(axis) ** 2
    shared, sizes = (p * y).sum(axis), p.sum(axis) + y.sum(axis)
    return 1 - 2 * (weights * shared).sum(-1) / (weights * sizes).sum(-1)


def torch_lovasz_softmax(p: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The authors' `lovasz_softmax_flat`, of all regions at once."""
    p, y = (x.flatten(1, 2).movedim(-1, 1) for x in (p, y))
    errors, order = torch.sort((y - p).abs(), -1, descending=True)
    return (errors * torch_steps(y.gather(-1, order))).sum(-1)


def torch_lovasz_hinge(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The authors' `lovasz_hinge_flat`, of all images at once."""
    x, y = x.flatten(1), y.flatten(1)
    errors, order = torch.sort(1 - x * (2 * y - 1), -1, descending=True)
    return (functional.relu(errors) * torch_steps(y.gather(-1, order))).sum(-1)


def torch_steps(y: torch.Tensor) -> torch.Tensor:
    total = y.sum(-1, keepdim=True)
    jaccard = 1 - (total - y.cumsum(-1)) / (total + (1 - y).cumsum(-1))
    return torch.cat([jaccard[..., :1], jaccard[..., 1:] - jaccard[..., :-1]], -1)


def jnp_lovasz_softmax(p: jax.Array, y: jax.Array) -> jax.Array:
    """The authors' in JAX."""
    p, y = (jnp.moveaxis(x.reshape(len(x), -1, x.shape[-1]), -1, 1) for x in (p, y))
    errors = jnp.abs(y - p)
    order = jnp.argsort(-errors, -1)
    errors, y = (jnp.take_along_axis(x, order, -1) for x in (errors, y))
    total = y.sum(-1, keepdims=True)
    jaccard = 1 - (total - y.cumsum(-1)) / (total + (1 - y).cumsum(-1))
    return (errors * jnp.diff(jaccard, prepend=0, axis=-1)).sum(-1)


def mask(*shape: int) -> Makers:
    def arrays(random: np.random.Generator) -> Arrays:
        labels = (random.random(shape) < 0.1).astype(np.float32)
        return [random.standard_normal(shape, np.float32) + labels, labels]

    return arrays


def textbook(function: Any) -> dict[str, Any]:
    return {"jax_peers": {"jnp": function}, "torch_peers": {"torch": function}}


UNEVEN = {"alpha": 0.3, "beta": 0.7}
FIRST = functools.partial(jaxloss.dice_loss, axis=(-2, -1))

CASES = [
    *(
        case
        for shape in (FEW, MANY)
        for case in (
            Case(
                f"Dice {shape}", maps(*shape), jaxloss.dice_loss, **textbook(dice), better_form=True
            ),
            Case(
                f"Tversky {shape}",
                maps(*shape),
                functools.partial(jaxloss.tversky_loss, **UNEVEN),
                **textbook(functools.partial(tversky, **UNEVEN)),
                better_form=True,
            ),
        )
    ),
    Case(
        "Dice (4, 19, 512, 512), classes first",
        maps(*MANY, classes_first=True),
        FIRST,
        **textbook(functools.partial(dice, axis=(-2, -1))),
        better_form=True,
    ),
    Case(
        f"generalized Dice {MANY}",
        maps(*MANY),
        jaxloss.generalized_dice_loss,
        **textbook(generalized_dice),
        better_form=True,
    ),
    Case(
        f"Lovász softmax {SORTED}",
        maps(*SORTED),
        jaxloss.lovasz_softmax_loss,
        {"jnp": jnp_lovasz_softmax},
        {"torch": torch_lovasz_softmax},
        compiled=False,
        tolerance=2e-3,
    ),
    Case(
        "Lovász hinge (8, 256, 256)",
        mask(8, 256, 256),
        jaxloss.lovasz_hinge_loss,
        {},
        {"torch": torch_lovasz_hinge},
        compiled=False,
        tolerance=2e-3,
    ),
]
