"""Every dense loss of the registry at the size of a large training step."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxloss
from tests.registry import ROWS, Kind, Row

LOGITS = (32, 65536, 80)
MAP = (8, 512, 512, 19)
PAIRS, MANY_PAIRS = 1_048_576, 6_400_000
# Of a class loss: the registry's sizes of the batch and the classes, and ours.
CLASSES = {8: 8192, 4: 32768}
FEATURES = {8: 65536, 3: 512, 1: 512, 5: 1000}
PROTOTYPES = {8: 8192, 3: 512, 5: 32768, 11: 32768}
EXAMPLES = {8: 1, 6: 4096, 3: 128}
SIZES: Mapping[str, Mapping[int, int]] = {
    **dict.fromkeys(("contrastive_loss", "triplet_margin_loss", "center_loss"), FEATURES),
    **dict.fromkeys(("arcface_logits", "cosface_logits", "fused_linear_cross_entropy"), PROTOTYPES),
    **dict.fromkeys(("supervised_contrastive_loss", "info_nce_loss", "circle_loss"), EXAMPLES),
    "distribution_focal_loss": {8: 4 * PAIRS, 4: 17},
    "seesaw_loss": {8: 8192, 5: 1, 4: 32768},
    "gradient_harmonized_loss": {8: 32 * 65536, 5: 80},
}
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "fused_linear_cross_entropy": {},
    "seesaw_loss": {"state": jaxloss.seesaw_init(32768)},
}
# Not losses, or of maps that are no regions.
LEFT_OUT = {"soft_skeleton", "smooth_labels", "smooth_labels_over_others", "dynamic_wise_iou_init"}
DENSE = (Kind.ELEMENTWISE, Kind.CLASS, Kind.BOX, Kind.REGION, Kind.COMPOSITE)


@dataclass(frozen=True)
class Case:
    """A loss of arrays by name, whose mean is differentiated in one of them.

    Attributes:
      name: the function's, and what is particular.
      kind: the registry's, which decides the limits.
      loss: takes the arrays by keyword.
      arrays: their shapes and dtypes.
      active: the name of the array that has a gradient.
    """

    name: str
    kind: Kind
    loss: Callable[..., Any]
    arrays: Mapping[str, jax.ShapeDtypeStruct] = field(repr=False)
    active: str

    def step(self, arrays: Mapping[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
        """The mean and its gradient."""
        passive = {name: array for name, array in arrays.items() if name != self.active}
        return jax.value_and_grad(lambda x: jnp.mean(self.loss(**{self.active: x}, **passive)))(
            arrays[self.active]
        )

    def in_float32(self) -> "Case":
        """The same of wider arrays, as a CPU prefers them."""
        wide = {name: _widened(array) for name, array in self.arrays.items()}
        return replace(self, arrays=wide)

    @property
    def inputs(self) -> int:
        """Bytes of the arrays."""
        return sum(map(_bytes, self.arrays.values()))

    @property
    def least(self) -> int:
        """Bytes of the arrays, and of the gradient."""
        return self.inputs + _bytes(self.arrays[self.active])


def cases(only: str = "") -> Iterator[Case]:
    """Those whose name holds `only`."""
    return (case for case in [*_of_registry(), *_particular()] if only.lower() in case.name.lower())


def _of_registry() -> Iterator[Case]:
    for row in ROWS:
        embeds = row.kind is not Kind.COMPOSITE or row.name in SIZES
        losses = row.kind in DENSE and "." not in row.name and row.differentiable
        if losses and embeds and row.name not in LEFT_OUT:
            setting = SETTINGS.get(row.name, row.settings[0])
            arrays = {
                name: jax.ShapeDtypeStruct(_enlarged(row, array.shape), _dtype(row, array))
                for name, array in row.arrays.items()
            }
            yield Case(row.name, row.kind, row.batched(**setting), arrays, row.differentiable[0])


def _enlarged(row: Row, shape: tuple[int, ...]) -> tuple[int, ...]:
    if row.name in SIZES:
        return tuple(SIZES[row.name][n] for n in shape)
    if row.kind is Kind.ELEMENTWISE:
        return LOGITS
    if row.kind is Kind.REGION:
        return MAP
    if row.kind is Kind.BOX:
        return (PAIRS, *shape[2:])
    return tuple(CLASSES[n] for n in shape)


def _dtype(row: Row, array: np.ndarray) -> Any:
    wide = row.kind in (Kind.BOX, Kind.REGION)
    return array.dtype if array.dtype.kind != "f" else jnp.float32 if wide else jnp.bfloat16


def _particular() -> Iterator[Case]:
    """The commonest losses as they are commonly called."""
    logits, labels = _struct(*LOGITS), _struct(*LOGITS[:-1], dtype=jnp.int32)
    for name in ("sigmoid_focal_loss", "sigmoid_binary_cross_entropy"):
        yield Case(
            f"{name} of integer labels",
            Kind.ELEMENTWISE,
            partial(_one_hot, getattr(jaxloss, name)),
            {"logits": logits, "labels": labels},
            "logits",
        )
    focal = partial(_boolean, jaxloss.sigmoid_focal_loss)
    arrays = {"logits": logits, "labels": labels}
    yield Case("sigmoid_focal_loss of booleans", Kind.ELEMENTWISE, focal, arrays, "logits")
    boxes = {name: _struct(MANY_PAIRS, 4, dtype=jnp.float32) for name in ("predictions", "targets")}
    giou = jaxloss.giou_loss
    yield Case(f"{giou.__name__} ({MANY_PAIRS}, 4)", Kind.BOX, giou, boxes, "predictions")
    for batch, classes in ((4096, 1000), (8192, 32768)):
        integer = {"logits": _struct(batch, classes), "labels": _struct(batch, dtype=jnp.int32)}
        weights = {"class_weights": _struct(classes, dtype=jnp.float32)}
        entropy = jaxloss.softmax_cross_entropy_with_integer_labels
        if classes == 1000:
            yield Case(f"{entropy.__name__} (4096, 1000)", Kind.CLASS, entropy, integer, "logits")
            focal = jaxloss.softmax_focal_loss
            yield Case(f"{focal.__name__} (4096, 1000)", Kind.CLASS, focal, integer, "logits")
        yield Case(
            f"{entropy.__name__} ({batch}, {classes}), weights and smoothing",
            Kind.CLASS,
            partial(entropy, label_smoothing=0.1),
            integer | weights,
            "logits",
        )


def _one_hot(loss: Callable[..., Any], logits: jax.Array, labels: jax.Array) -> jax.Array:
    return loss(logits, jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype))


def _boolean(loss: Callable[..., Any], logits: jax.Array, labels: jax.Array) -> jax.Array:
    return loss(logits, jax.nn.one_hot(labels, logits.shape[-1], dtype=bool))


def _struct(*shape: int, dtype: Any = jnp.bfloat16) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, dtype)


def _widened(array: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    narrow = array.dtype == jnp.bfloat16
    return jax.ShapeDtypeStruct(array.shape, jnp.float32) if narrow else array


def _bytes(array: jax.ShapeDtypeStruct) -> int:
    return array.size * array.dtype.itemsize
