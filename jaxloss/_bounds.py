"""The ranges of hyperparameters: numbers known while tracing are checked against them."""

import operator
from collections.abc import Iterator
from typing import Any, TypedDict

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike


class Bounds(TypedDict, total=False):
    """What a hyperparameter is at least or at most, lies above or below, or is not.

    A bound may be another hyperparameter, and then binds only if that is known, too.
    """

    at_least: ArrayLike
    above: ArrayLike
    at_most: ArrayLike
    below: ArrayLike
    other_than: ArrayLike


COMPARISONS = {
    "at_least": (">=", operator.ge),
    "above": (">", operator.gt),
    "at_most": ("<=", operator.le),
    "below": ("<", operator.lt),
    "other_than": ("!=", operator.ne),
}


def broken(value: object, bounds: Bounds) -> str | None:
    """What is wrong with a `value` outside its `bounds`, NaN included; None if nothing is.

    A JAX array is not looked at, traced or not, so that nothing waits for a device.
    """
    if not bounds or not _known(value):
        return None
    numbers = np.asarray(value)
    known = [(*COMPARISONS[name], bound) for name, bound in _items(bounds) if _known(bound)]
    inside = np.array(True)
    for _, holds, bound in known:
        inside = inside & holds(numbers, _like(numbers, bound))
    if inside.all():
        return None
    wrong = np.broadcast_to(numbers, inside.shape)[~inside].flat[0]
    wanted = " and ".join(f"{sign} {np.asarray(bound)}" for sign, _, bound in known)
    return f"{'holds' if numbers.ndim else 'is'} {wrong}, expected {wanted}"


def _items(bounds: Bounds) -> Iterator[tuple[str, Any]]:
    yield from bounds.items()


def _known(value: object) -> bool:
    return isinstance(value, np.ndarray | np.generic | int | float)


def _like(numbers: np.ndarray, bound: ArrayLike) -> np.ndarray:
    """A bound rounded as the numbers are, so that one equal to it is not outside."""
    floating = jnp.issubdtype(numbers.dtype, jnp.floating)
    return np.asarray(bound, numbers.dtype if floating else None)
