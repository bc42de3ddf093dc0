"""A function with its inputs and with what others have in its place."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Arrays = list[np.ndarray]
Makers = Callable[[np.random.Generator], Arrays]
Functions = Mapping[str, Callable[..., Any]]


@dataclass(frozen=True)
class Case:
    """A function to be timed beside its peers, on the same arrays.

    Attributes:
      name: what it computes, and of how much.
      arrays: makes its arguments, the predictions first.
      ours: the function of this library.
      jax_peers, torch_peers: functions of the same arguments and results by their library's name.
      differentiated: by how many of the first arguments the mean is differentiated; 0 of what is no
        loss.
      compiled: True if `torch.compile` is a peer of a loss, too.
      better_form: True where a form is known that beats the peers' by far; where memory or a
        sort is the limit of all it is False.
      batched: True where each argument's first axis is one of examples, of which there may be more.
      dtype: what the first argument is cast to.
      tolerance: relative, of results that are checked to be equal.
    """

    name: str
    arrays: Makers
    ours: Callable[..., Any]
    jax_peers: Functions = field(default_factory=dict)
    torch_peers: Functions = field(default_factory=dict)
    differentiated: int = 1
    compiled: bool = True
    better_form: bool = False
    batched: bool = True
    dtype: str = "float32"
    tolerance: float = 1e-4


def logits(*shape: int, labels: str, spread: float = 1.0) -> Makers:
    """Normal logits with labels: "binary", "integer" along the last axis, "soft" or "real"."""

    def arrays(random: np.random.Generator) -> Arrays:
        made = {
            "binary": lambda: (random.random(shape) < 0.1).astype(np.float32),
            "integer": lambda: random.integers(0, shape[-1], shape[:-1]).astype(np.int32),
            "real": lambda: random.standard_normal(shape, np.float32),
            "soft": lambda: random.dirichlet(np.ones(shape[-1]), shape[:-1]).astype(np.float32),
        }
        return [spread * random.standard_normal(shape, np.float32), made[labels]()]

    return arrays


def boxes(random: np.random.Generator, *count: int) -> np.ndarray:
    """Boxes of 5 to 60 pixels in a square of 140."""
    corners = random.uniform(0, 80, (*count, 2))
    sides = random.uniform(5, 60, (*count, 2))
    return np.concatenate([corners, corners + sides], -1).astype(np.float32)


def pairs(count: int) -> Makers:
    return lambda random: [boxes(random, count), boxes(random, count)]
