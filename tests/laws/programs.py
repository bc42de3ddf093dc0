"""One jitted program a function and setting, shared by the laws: value and every derivative."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tests.registry import Row
from tests.registry._row import Arrays

Tree = Any


class Derivatives(NamedTuple):
    """What a program returns; the gradient is the cotangent pulled back."""

    value: Tree
    gradient: dict[str, jax.Array]
    checkpointed: dict[str, jax.Array]
    tangent: list[jax.Array]
    hvp: dict[str, jax.Array]


_programs: dict[tuple[str, str], Callable[..., Derivatives]] = {}


def floats(tree: Tree) -> list[jax.Array]:
    """The floating-point leaves of a result, in order."""
    return [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating)]


def split(row: Row, arrays: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arrays that are differentiated, and the others."""
    active = {name: array for name, array in arrays.items() if name in row.differentiable}
    return active, {name: array for name, array in arrays.items() if name not in active}


def program(row: Row, setting: Mapping[str, Any]) -> Callable[..., Derivatives]:
    """`(active, passive) -> Derivatives`, compiled once for each dtype and shape."""
    key = (row.name, repr(sorted(setting)) + repr([str(v) for _, v in sorted(setting.items())]))
    if key not in _programs:
        _programs[key] = jax.jit(_derivatives(row.batched(**setting)))
    return _programs[key]


def derivatives(row: Row, setting: Mapping[str, Any], arrays: Arrays) -> Derivatives:
    return program(row, setting)(*split(row, arrays))


def _derivatives(function: Callable[..., Tree]) -> Callable[..., Derivatives]:
    def run(active: dict[str, jax.Array], passive: dict[str, jax.Array]) -> Derivatives:
        def losses(active: dict[str, jax.Array]) -> list[jax.Array]:
            return floats(function(**active, **passive))

        def gradient(active: dict[str, jax.Array]) -> dict[str, jax.Array]:
            values, pull = jax.vjp(losses, active)
            return pull([_wave(value) for value in values])[0]

        direction = jax.tree.map(_wave, active)
        _, tangent = jax.jvp(losses, (active,), (direction,))
        values, pull = jax.vjp(jax.checkpoint(losses), active)
        return Derivatives(
            value=function(**active, **passive),
            gradient=gradient(active),
            checkpointed=pull([_wave(value) for value in values])[0],
            tangent=tangent,
            hvp=jax.jvp(gradient, (active,), (direction,))[1],
        )

    return run


def _wave(like: jax.Array) -> jax.Array:
    """Weights between 0.5 and 1.5 that no symmetry of a loss can hide behind."""
    if like.size == 0:
        return like
    wave = 1 + 0.5 * np.sin(1 + 0.7 * np.arange(like.size)).reshape(like.shape)
    return jnp.asarray(wave, like.dtype)


def wave(like: Any) -> np.ndarray:
    return np.asarray(_wave(jnp.asarray(like)))
