"""Where optax, PyTorch and torchvision give a wrong number, beside ours. Run with `make bench`."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from torch.nn import functional
from torchvision import ops

import jaxloss
from tests.registry.boxes import edge_pairs

Row = tuple[str, str, str, str]


def shown(compute: Callable[[], Any]) -> str:
    """The number that `compute` gives, or the error that it raises."""
    try:
        value = np.asarray(compute())
    except Exception as error:
        return type(error).__name__
    return f"{float(value):.3g}" if value.ndim == 0 else f"shape {value.shape}"


def tiny_box() -> list[Row]:
    box = np.array([[0.5, 0.5, 0.5002, 0.5002]], np.float32)
    losses = [
        ("GIoU", jaxloss.giou_loss, ops.generalized_box_iou_loss),
        ("CIoU", jaxloss.ciou_loss, ops.complete_box_iou_loss),
    ]
    return [
        (
            f"{name} loss of a box of side 2e-4 with itself",
            "0",
            shown(lambda ours=ours: ours(box, box)[0]),
            "torchvision " + shown(lambda theirs=theirs: theirs(*(torch.from_numpy(box),) * 2)[0]),
        )
        for name, ours, theirs in losses
    ]


def not_finite(loss: Callable[..., Any], pair: list[np.ndarray], peer: bool) -> str:
    """How many values and how many boxes' gradients are NaN or infinite."""
    if peer:
        predictions, targets = (torch.from_numpy(array) for array in pair)
        predictions.requires_grad_()
        values = loss(predictions, targets)
        values.sum().backward()
        value, gradient = values.detach().numpy(), predictions.grad.numpy()
    else:
        value = np.asarray(loss(*pair))
        gradient = np.asarray(jax.grad(lambda *a: loss(*a).sum())(*map(jnp.asarray, pair)))
    bad = (~np.isfinite(value)).sum(), (~np.isfinite(gradient)).any(-1).sum()
    return f"{bad[0]:,} and {bad[1]:,}"


def edge_boxes() -> list[Row]:
    pair = [array.astype(np.float32) for array in edge_pairs().values()]
    question = f"{{}} over {len(pair[0]):,} edge pairs: values and gradients not finite"
    losses = [
        ("GIoU", jaxloss.giou_loss, ops.generalized_box_iou_loss),
        ("DIoU", jaxloss.diou_loss, ops.distance_box_iou_loss),
        ("CIoU", jaxloss.ciou_loss, ops.complete_box_iou_loss),
    ]
    return [
        (
            question.format(name),
            "0 and 0",
            not_finite(ours, pair, False),
            "torchvision " + not_finite(theirs, pair, True),
        )
        for name, ours, theirs in losses
    ]


def zero_area() -> Row:
    point = np.zeros((1, 4), np.float32)
    return (
        "IoU of a point with itself",
        "1",
        shown(lambda: jaxloss.boxes.iou(point, point)[0]),
        "torchvision " + shown(lambda: ops.box_iou(*(torch.from_numpy(point),) * 2)[0, 0]),
    )


def wrong_label() -> Row:
    logits, labels = jnp.array([[2.0, -1.0, 0.5]]), jnp.array([-1])
    name = "softmax_cross_entropy_with_integer_labels"
    return (
        "Cross-entropy of label -1",
        "NaN",
        shown(lambda: getattr(jaxloss, name)(logits, labels)[0]),
        "optax " + shown(lambda: getattr(optax.losses, name)(logits, labels)[0]),
    )


def confident() -> Row:
    logits = np.array([[30.0, 0.0, 1.0]], np.float32)
    exact = float(np.log1p(np.exp(np.float64(-30)) + np.exp(np.float64(-29))))
    name, labels = "softmax_cross_entropy_with_integer_labels", jnp.array([0])
    peers = (
        "optax "
        + shown(lambda: getattr(optax.losses, name)(logits, labels)[0])
        + ", torch "
        + shown(lambda: functional.cross_entropy(torch.from_numpy(logits), torch.tensor([0])))
    )
    ours = shown(lambda: getattr(jaxloss, name)(logits, labels)[0])
    return "Cross-entropy of logits (30, 0, 1), label 0", f"{exact:.3g}", ours, peers


def all_ignored() -> Row:
    logits, labels = np.zeros((2, 3), np.float32), np.array([-100, -100])
    ours = jaxloss.softmax_cross_entropy_with_integer_labels(
        logits, labels.astype(np.int32), ignore_label=-100
    )
    where = jnp.asarray(labels != -100)
    return (
        "Mean cross-entropy when every label is ignored",
        "0",
        shown(lambda: jaxloss.mean(ours, where=where)),
        "torch "
        + shown(
            lambda: functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels))
        ),
    )


def half_precision() -> Row:
    logits, labels = jnp.array([8.0], jnp.float16), jnp.array([1.0], jnp.float16)
    z = 1 / (1 + np.exp(8.0))
    return (
        "Focal loss of logit 8 in float16, label 1",
        f"{z**2 * np.log1p(np.exp(-8.0)):.3g}",
        shown(lambda: jaxloss.sigmoid_focal_loss(logits, labels)[0]),
        "optax " + shown(lambda: optax.losses.sigmoid_focal_loss(logits, labels)[0]),
    )


def broadcasting() -> Row:
    column, vector = jnp.ones((4, 1)), jnp.ones(4)
    return (
        "Huber loss of shapes (4, 1) and (4,)",
        "an error",
        shown(lambda: jaxloss.huber_loss(column, vector)),
        "optax " + shown(lambda: optax.losses.huber_loss(column, vector)),
    )


def beside_optax(
    question: str, right: str, name: str, *arguments: Any, slope: bool = False, **setting: Any
) -> Row:
    """A function that both have, or its largest slope in the first argument."""

    def compute(library: Any) -> Any:
        def total(first: Any) -> Any:
            return jnp.sum(getattr(library, name)(first, *arguments[1:], **setting))

        if slope:
            return jnp.max(jnp.abs(jax.grad(total)(arguments[0])))
        return total(arguments[0])

    theirs = "optax " + shown(lambda: compute(optax.losses))
    return question, right, shown(lambda: compute(jaxloss)), theirs


def elsewhere() -> list[Row]:
    zeros, ones = jnp.zeros((1, 2)), jnp.ones((1, 2))
    pair, apart = jnp.array([[1.0, 2.0]]), jnp.array([[1.0, 0.0], [0.0, 1.0]])
    certain = jnp.array([[0.0, -jnp.inf]])
    return [
        beside_optax("log-cosh of 1e-6", "5e-13", "log_cosh", jnp.array([1e-6]), jnp.zeros(1)),
        beside_optax("Cosine similarity of zero", "0", "cosine_similarity", zeros, ones),
        beside_optax(
            "Cosine similarity of zero, slope", "0", "cosine_similarity", zeros, ones, slope=True
        ),
        beside_optax(
            "Triplet loss in the 1-norm: anchor (1, 2), positive (1, 2), negative (9, 2)",
            "0",
            "triplet_margin_loss",
            pair,
            pair,
            jnp.array([[9.0, 2.0]]),
            norm_degree=1,
        ),
        beside_optax("NT-Xent without any pair", "0", "ntxent", apart, jnp.array([0, 1])),
        beside_optax(
            "Divergence from a certain target, of an equal prediction",
            "0",
            "kl_divergence",
            certain,
            jnp.array([[1.0, 0.0]]),
        ),
    ]


def main() -> None:
    print("\n| question | right | jaxloss | others |")
    print("|---|---|---|---|")
    found = [*tiny_box(), *edge_boxes(), zero_area(), wrong_label(), confident()]
    for row in (*found, all_ignored(), half_precision(), *elsewhere(), broadcasting()):
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
