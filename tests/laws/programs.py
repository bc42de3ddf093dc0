"""A few jitted programs a function and setting, shared by the laws, since compiling is the cost."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from tests.registry import Row

Tree = Any
Named = dict[str, Any]


class First(NamedTuple):
    """Value, and the `wave` of the value pulled back."""

    value: Tree
    gradient: Named


class Second(NamedTuple):
    """Value, gradient, and the Hessian times the `waves` of the inputs, forward over reverse."""

    value: Tree
    gradient: Named
    hvp: Named


_programs: dict[tuple[str, ...], Callable[..., Any]] = {}


def floats(tree: Tree) -> list[jax.Array]:
    """The floating-point leaves of a result, in order."""
    return [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating)]


def wave(like: Any, phase: int = 0) -> jax.Array:
    """Exact weights from 0.5 to 1.4375, which no symmetry of a loss can hide behind.

    Sharded as `like`.
    """
    places = [lax.broadcasted_iota(jnp.int32, like.shape, axis) for axis in range(like.ndim)]
    turn = sum(((2 * axis + 3) * place for axis, place in enumerate(places)), phase) % 16
    return jnp.zeros_like(like) + (0.5 + jnp.asarray(turn, jnp.float32) / 16).astype(like.dtype)


def waves(arrays: Named) -> Named:
    """A `wave` like each array, of different phases: a loss of differences sees them, too."""
    return {name: wave(a, 5 * number) for number, (name, a) in enumerate(sorted(arrays.items()))}


def split(row: Row, arrays: Mapping[str, Any]) -> tuple[Named, Named]:
    """The arrays that are differentiated, and the others."""
    active = {name: array for name, array in arrays.items() if name in row.differentiable}
    return active, {name: array for name, array in arrays.items() if name not in active}


def value(row: Row, setting: Mapping[str, Any]) -> Callable[[Named], Tree]:
    """The function on a dictionary of arrays."""
    return _jitted(_value, row, setting)


def first(row: Row, setting: Mapping[str, Any]) -> Callable[[Named], First]:
    """Value and gradient."""
    return _jitted(_first, row, setting)


def tangent(row: Row, setting: Mapping[str, Any]) -> Callable[[Named], list[jax.Array]]:
    """The `waves` of the inputs pushed forward, for the floating-point leaves of the result."""
    return _jitted(_tangent, row, setting)


def second(row: Row, setting: Mapping[str, Any]) -> Callable[[Named], Second]:
    """Value, gradient and Hessian-vector product."""
    return _jitted(_second, row, setting)


def _jitted(make: Callable[..., Any], row: Row, setting: Mapping[str, Any]) -> Callable[..., Any]:
    key = (make.__name__, row.name, *(f"{name}={setting[name]}" for name in sorted(setting)))
    if key not in _programs:
        _programs[key] = jax.jit(partial(make, row, dict(setting)))
    return _programs[key]


def _value(row: Row, setting: Named, arrays: Named) -> Tree:
    return row.batched(**setting)(**arrays)


def _first(row: Row, setting: Named, arrays: Named) -> First:
    active, passive = split(row, arrays)
    gradient, result = _gradient(row, setting, passive, active)
    return First(result, gradient)


def _second(row: Row, setting: Named, arrays: Named) -> Second:
    active, passive = split(row, arrays)
    function = partial(_gradient, row, setting, passive)
    direction = waves(active)
    gradient, hvp, result = jax.jvp(function, (active,), (direction,), has_aux=True)
    return Second(result, gradient, hvp)


def _tangent(row: Row, setting: Named, arrays: Named) -> list[jax.Array]:
    active, passive = split(row, arrays)
    direction = waves(active)
    return jax.jvp(lambda a: floats(_value(row, setting, a | passive)), (active,), (direction,))[1]


def _gradient(row: Row, setting: Named, passive: Named, active: Named) -> tuple[Named, Tree]:
    """The `wave` of the value pulled back, and the value."""

    def losses(active: Named) -> tuple[list[jax.Array], Tree]:
        result = _value(row, setting, active | passive)
        return floats(result), result

    values, pull, result = jax.vjp(losses, active, has_aux=True)
    return pull([wave(leaf) for leaf in values])[0], result


def on_host(tree: Tree) -> Tree:
    return jax.tree.map(np.asarray, tree)
