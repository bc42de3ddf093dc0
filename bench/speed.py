"""How long value and gradient take beside optax, PyTorch and torchvision.

Each case is checked equal before it is timed. Run with `make bench`; `--only NAME` picks cases.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
import torchvision
from torch.nn import functional
from torchvision.ops import (
    complete_box_iou_loss,
    distance_box_iou_loss,
    generalized_box_iou_loss,
    sigmoid_focal_loss,
)

import jaxloss
from bench.timing import medians

Arrays = list[np.ndarray]


@dataclass(frozen=True)
class Case:
    """A loss with its inputs; the mean is differentiated in the first of them."""

    name: str
    arrays: Callable[[np.random.Generator], Arrays]
    ours: Callable[..., Any]
    jax_peers: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    torch_peers: Mapping[str, Callable[..., Any]] = field(default_factory=dict)


def pairs(count: int) -> Callable[[np.random.Generator], Arrays]:
    def arrays(rng: np.random.Generator) -> Arrays:
        corners = rng.uniform(0, 80, (2, count, 2))
        sides = rng.uniform(5, 60, (2, count, 2))
        return list(np.concatenate([corners, corners + sides], -1).astype(np.float32))

    return arrays


def logits(*shape: int, labels: str) -> Callable[[np.random.Generator], Arrays]:
    def arrays(rng: np.random.Generator) -> Arrays:
        made = {
            "binary": lambda: (rng.random(shape) < 0.1).astype(np.float32),
            "integer": lambda: rng.integers(0, shape[-1], shape[:-1]).astype(np.int32),
            "real": lambda: rng.standard_normal(shape, np.float32),
        }
        return [rng.standard_normal(shape, np.float32), made[labels]()]

    return arrays


def torch_cross_entropy(x: torch.Tensor, y: torch.Tensor, **options: Any) -> torch.Tensor:
    return functional.cross_entropy(x, y.long(), reduction="none", **options)


CASES = [
    Case(
        "sigmoid focal (8, 16384, 20)",
        logits(8, 16384, 20, labels="binary"),
        lambda x, y: jaxloss.sigmoid_focal_loss(x, y, alpha=0.25),
        {"optax": lambda x, y: optax.losses.sigmoid_focal_loss(x, y, alpha=0.25)},
        {"torchvision": sigmoid_focal_loss},
    ),
    Case(
        "binary cross-entropy (8, 16384, 20)",
        logits(8, 16384, 20, labels="binary"),
        jaxloss.sigmoid_binary_cross_entropy,
        {"optax": optax.losses.sigmoid_binary_cross_entropy},
        {"torch": lambda x, y: functional.binary_cross_entropy_with_logits(x, y, reduction="none")},
    ),
    Case(
        "softmax cross-entropy (4096, 1000)",
        logits(4096, 1000, labels="integer"),
        jaxloss.softmax_cross_entropy_with_integer_labels,
        {"optax": optax.losses.softmax_cross_entropy_with_integer_labels},
        {"torch": torch_cross_entropy},
    ),
    Case(
        "smooth L1 (8, 16384, 20)",
        logits(8, 16384, 20, labels="real"),
        jaxloss.smooth_l1_loss,
        {},
        {"torch": lambda x, y: functional.smooth_l1_loss(x, y, reduction="none")},
    ),
    Case(
        "Huber (8, 16384, 20)",
        logits(8, 16384, 20, labels="real"),
        jaxloss.huber_loss,
        {"optax": optax.losses.huber_loss},
        {"torch": lambda x, y: functional.huber_loss(x, y, reduction="none")},
    ),
    Case(
        "GIoU, 200,000 pairs",
        pairs(200_000),
        jaxloss.giou_loss,
        {},
        {"torchvision": generalized_box_iou_loss},
    ),
    Case(
        "DIoU, 200,000 pairs",
        pairs(200_000),
        jaxloss.diou_loss,
        {},
        {"torchvision": distance_box_iou_loss},
    ),
    Case(
        "CIoU, 200,000 pairs",
        pairs(200_000),
        jaxloss.ciou_loss,
        {},
        {"torchvision": complete_box_iou_loss},
    ),
]


def jax_call(loss: Callable[..., Any], arrays: Arrays) -> Callable[[], tuple[Any, Any]]:
    step = jax.jit(jax.value_and_grad(lambda *a: jnp.mean(loss(*a))))
    inputs = [jnp.asarray(array) for array in arrays]
    return lambda: jax.block_until_ready(step(*inputs))


def torch_call(loss: Callable[..., Any], arrays: Arrays) -> Callable[[], tuple[Any, Any]]:
    first, *others = (torch.from_numpy(array) for array in arrays)

    def step() -> tuple[Any, Any]:
        leaf = first.detach().requires_grad_()
        value = loss(leaf, *others).mean()
        value.backward()
        return value.detach(), leaf.grad

    return step


def calls(case: Case) -> dict[str, Callable[[], tuple[Any, Any]]]:
    arrays = case.arrays(np.random.default_rng(0))
    return (
        {"jaxloss": jax_call(case.ours, arrays)}
        | {name: jax_call(peer, arrays) for name, peer in case.jax_peers.items()}
        | {name: torch_call(peer, arrays) for name, peer in case.torch_peers.items()}
    )


def check_equal(name: str, steps: Mapping[str, Callable[[], tuple[Any, Any]]]) -> None:
    value, gradient = (np.asarray(part) for part in steps["jaxloss"]())
    for peer, step in steps.items():
        other_value, other_gradient = (np.asarray(part) for part in step())
        np.testing.assert_allclose(value, other_value, rtol=1e-4, err_msg=f"{name}: {peer}")
        atol = 1e-4 * np.abs(gradient).max()
        np.testing.assert_allclose(gradient, other_gradient, atol=atol, err_msg=f"{name}: {peer}")


def rows(only: str, rounds: int) -> Iterator[str]:
    for case in CASES:
        if only.lower() not in case.name.lower():
            continue
        steps = calls(case)
        check_equal(case.name, steps)
        times = medians(steps, rounds=rounds)
        ours = times.pop("jaxloss")
        peers = ", ".join(f"{name} {t:.1f}" for name, t in times.items())
        ratios = ", ".join(f"{name} {t / ours:.1f}x" for name, t in times.items())
        yield f"| {case.name} | {ours:.1f} | {peers} | {ratios} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--rounds", type=int, default=21)
    options = parser.parse_args()
    print(
        f"jax {jax.__version__}, torch {torch.__version__}, torchvision {torchvision.__version__}"
    )
    print("\n| value and gradient, ms | jaxloss | peers | jaxloss is faster than |")
    print("|---|---|---|---|")
    for row in rows(options.only, options.rounds):
        print(row, flush=True)


if __name__ == "__main__":
    main()
