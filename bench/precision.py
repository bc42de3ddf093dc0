"""Worst relative errors in float32 over logits in [-100, 100], beside optax's and PyTorch's.

Exact are formulas in NumPy's float64 whose terms have one sign. Run with `make bench`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from torch.nn import functional
from torchvision.ops import sigmoid_focal_loss

import jaxloss

Pair = tuple[np.ndarray, np.ndarray]
LOGITS = np.linspace(-100, 100, 200_001).astype(np.float32)
RESIDUALS = np.concatenate([LOGITS, np.geomspace(1e-18, 1, 2001).astype(np.float32)])
CLASSES = 10


def rows() -> np.ndarray:
    """Logits of ten classes, the label's first, from wholly wrong to wholly right."""
    rng = np.random.default_rng(0)
    spread = np.geomspace(0.1, 20, 20_000)[:, None]
    logits = np.clip(spread * rng.standard_normal((20_000, CLASSES)), -40, 40)
    logits[:, 0] = rng.uniform(-100, 100, 20_000)
    return logits.astype(np.float32)


@dataclass(frozen=True)
class Case:
    """A loss whose every example is computed from one row of `inputs`."""

    name: str
    inputs: np.ndarray
    exact: Callable[[np.ndarray], Pair]
    ours: Callable[..., Any]
    jax_peers: Mapping[str, Callable[..., Any]]
    torch_peers: Mapping[str, Callable[..., Any]]


def focal(gamma: float) -> Callable[[np.ndarray], Pair]:
    """-(1 - p)^gamma log(p) of logits whose label is 1, and its derivative."""

    def exact(x: np.ndarray) -> Pair:
        wrong, cost = np.exp(-np.logaddexp(0, x)), np.logaddexp(0, -x)
        right = np.exp(-np.logaddexp(0, -x))
        power = wrong**gamma
        return power * cost, -power * (wrong + gamma * right * cost)

    return exact


def softmax_focal(gamma: float) -> Callable[[np.ndarray], Pair]:
    """-(1 - p)^gamma log(p) of rows whose label is 0, and its gradient."""

    def exact(x: np.ndarray) -> Pair:
        highest = x[:, 1:].max(1, keepdims=True)
        log_odds = highest + np.log(np.exp(x[:, 1:] - highest).sum(1, keepdims=True)) - x[:, :1]
        value, slope = focal(gamma)(-log_odds)
        shares = np.exp(x[:, 1:] - x[:, :1] - log_odds)
        return value[:, 0], np.column_stack([slope, -slope * shares])

    return exact


def log_cosh(x: np.ndarray) -> Pair:
    size = np.abs(x)
    near = np.log1p(2 * np.sinh(np.minimum(size, 1) / 2) ** 2)
    return np.where(size < 1, near, size + np.log1p(np.exp(-2 * size)) - np.log(2)), np.tanh(x)


def ones(x: Any) -> Any:
    return jnp.ones_like(x) if isinstance(x, jax.Array) else torch.ones_like(x)


def zeros(x: Any) -> Any:
    if isinstance(x, jax.Array):
        return jnp.zeros(len(x), jnp.int32)
    return torch.zeros(len(x), dtype=torch.long)


def torch_binary(x: torch.Tensor) -> torch.Tensor:
    return functional.binary_cross_entropy_with_logits(x, ones(x), reduction="none")


def torch_focal(gamma: float) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda x: sigmoid_focal_loss(x, ones(x), alpha=-1, gamma=gamma)


def binary_focal(gamma: float) -> Case:
    return Case(
        f"sigmoid focal, gamma {gamma:g}",
        LOGITS,
        focal(gamma),
        lambda x: jaxloss.sigmoid_focal_loss(x, ones(x), gamma=gamma),
        {"optax": lambda x: optax.losses.sigmoid_focal_loss(x, ones(x), gamma=gamma)},
        {"torchvision": torch_focal(gamma)},
    )


CASES = [
    Case(
        "binary cross-entropy",
        LOGITS,
        focal(0),
        lambda x: jaxloss.sigmoid_binary_cross_entropy(x, ones(x)),
        {"optax": lambda x: optax.losses.sigmoid_binary_cross_entropy(x, ones(x))},
        {"torch": torch_binary},
    ),
    *(binary_focal(gamma) for gamma in (2.0, 1.5, 0.7)),
    Case(
        "softmax cross-entropy",
        rows(),
        softmax_focal(0),
        lambda x: jaxloss.softmax_cross_entropy_with_integer_labels(x, zeros(x)),
        {"optax": lambda x: optax.losses.softmax_cross_entropy_with_integer_labels(x, zeros(x))},
        {"torch": lambda x: functional.cross_entropy(x, zeros(x), reduction="none")},
    ),
    Case(
        "softmax focal, gamma 2",
        rows(),
        softmax_focal(2),
        lambda x: jaxloss.softmax_focal_loss(x, zeros(x)),
        {},
        {},
    ),
    Case(
        "log-cosh",
        RESIDUALS,
        log_cosh,
        jaxloss.log_cosh,
        {"optax": optax.losses.log_cosh},
        {},
    ),
]


def of_jax(loss: Callable[..., Any], inputs: np.ndarray) -> Pair:
    values, pull = jax.vjp(jax.jit(loss), jnp.asarray(inputs))
    return np.asarray(values), np.asarray(pull(jnp.ones_like(values))[0])


def of_torch(loss: Callable[..., Any], inputs: np.ndarray) -> Pair:
    leaf = torch.from_numpy(inputs).requires_grad_()
    values = loss(leaf)
    values.sum().backward()
    return values.detach().numpy(), leaf.grad.numpy()


def worst(found: np.ndarray, exact: np.ndarray) -> float:
    """The largest relative error among normal numbers."""
    normal = np.abs(exact) > 1e-35
    return float((np.abs(found - exact)[normal] / np.abs(exact[normal])).max())


def shown(found: Pair, exact: Pair) -> str:
    return " and ".join(f"{worst(*pair):.1e}" for pair in zip(found, exact, strict=True))


def main() -> None:
    print("\n| worst relative error of value and gradient | jaxloss | others |")
    print("|---|---|---|")
    for case in CASES:
        exact = case.exact(case.inputs.astype(np.float64))
        peers = [
            *((name, of_jax(loss, case.inputs)) for name, loss in case.jax_peers.items()),
            *((name, of_torch(loss, case.inputs)) for name, loss in case.torch_peers.items()),
        ]
        others = "; ".join(f"{name} {shown(found, exact)}" for name, found in peers)
        print(f"| {case.name} | {shown(of_jax(case.ours, case.inputs), exact)} | {others} |")


if __name__ == "__main__":
    main()
