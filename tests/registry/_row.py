"""What the laws need to know of a public function."""

import enum
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from typing import Any

import jax
import numpy as np

import jaxloss

Arrays = dict[str, np.ndarray]
BATCH = 8


class Kind(enum.Enum):
    """What a function is; `tests/laws/table.py` says which laws each kind is held to."""

    REDUCTION = "reduction"
    ELEMENTWISE = "elementwise"
    CLASS = "class"
    BOX = "box"
    REGION = "region"
    PAIRWISE = "pairwise"
    GEOMETRY = "geometry"
    SELECTION = "selection"
    COMPOSITE = "composite"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One public function with what the laws call it with.

    Attributes:
      name: the path after `jaxloss.`, as a user writes it.
      kind: what it is, which decides the laws.
      arrays: an example of the array arguments by parameter name, in the signature's order, with
        asymmetric numbers. Floats are float64 here: the laws cast them. A batch of 8 is axis 0,
        except of what is in `shared`; `where` belongs here only if it masks something other than
        the results (padded objects).
      settings: the other keyword arguments, one dictionary for each way the function is used.
      result: the shape of the (first) result for `arrays` and the first setting.
      differentiable: names in `arrays` with a gradient; empty for selections.
      hyperparameters: names of arguments that may be traced, each with three values to `vmap` over.
      shared: names in `arrays` without a batch axis, such as anchors.
      per_image: True if the function takes one image, so that batches go through `vmap`.
      padded: names in `arrays` whose axis 1 (after the batch) is masked by `where`, such as boxes
        or examples that are compared with each other; results may have that axis, too.
      stateful: True if the result is (losses, state): the laws look at the losses.
      class_axis: names in `arrays` that may be sharded over classes, with the axis of the classes.
      any_shape: names in `arrays` that accept another rank or length, so that no shape is an error.
      zoo: makes edge inputs by parameter name, batch first and of any length, for the totality law.
      exempt: laws that do not apply, each with a reason that a user would accept.
    """

    name: str
    kind: Kind
    arrays: Arrays
    result: tuple[int, ...]
    settings: tuple[Mapping[str, Any], ...] = ({},)
    differentiable: tuple[str, ...] = ()
    hyperparameters: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    shared: frozenset[str] = frozenset()
    per_image: bool = False
    padded: tuple[str, ...] = ()
    stateful: bool = False
    class_axis: Mapping[str, int] = field(default_factory=dict)
    any_shape: frozenset[str] = frozenset()
    zoo: Callable[[], Arrays] | None = None
    exempt: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def function(self) -> Callable[..., Any]:
        return attrgetter(self.name)(jaxloss)

    @cached_property
    def takes_where(self) -> bool:
        return "where" in inspect.signature(self.function).parameters

    def cast(self, dtype: Any, arrays: Arrays | None = None) -> Arrays:
        """`arrays` with the floating ones in `dtype`."""
        return {
            name: array.astype(dtype) if array.dtype.kind == "f" else array
            for name, array in (self.arrays if arrays is None else arrays).items()
        }

    def batched(self, **setting: Any) -> Callable[..., Any]:
        """The function on whole batches, as keyword arguments, under `setting`."""

        def one(arrays: Arrays) -> Any:
            result = self.function(**arrays, **setting)
            return result[0] if self.stateful else result

        def call(**arrays: Any) -> Any:
            if not self.per_image:
                return one(arrays)
            axes = {name: None if name in self.shared else 0 for name in arrays}
            return jax.vmap(one, in_axes=(axes,))(arrays)

        return call


def normal(*shape: int, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    return scale * np.random.default_rng(seed).standard_normal(shape)


def uniform(*shape: int, seed: int = 0, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, shape)


def integers(*shape: int, high: int, seed: int = 0, low: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, shape).astype(np.int32)


def boxes(*shape: int, seed: int = 0, size: float = 100.0) -> np.ndarray:
    """Ordered corner boxes, `[*shape, 4]`, wider than high, within about `size`."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 0.6 * size, (*shape, 2))
    sides = rng.uniform([0.1 * size, 0.05 * size], [0.4 * size, 0.3 * size], (*shape, 2))
    return np.concatenate([corner, corner + sides], -1)
