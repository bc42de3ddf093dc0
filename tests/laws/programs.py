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
    """Value, the `wave` of the value pulled back, and the `wave` of the inputs pushed forward."""

    value: Tree
    gradient: Named
    tangent: list[jax.Array]


class Second(NamedTuple):
    """Value, gradient, and the Hessian times the `wave` of the inputs, forward over reverse."""

    value: Tree
    gradient: Named
    hvp: Named


_programs: dict[tuple[str, ...], Callable[..., Any]] = {}


def floats(tree: Tree) -> list[jax.Array]:
    """The floating-point leaves of a result, in order."""
    return [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating)]


def wave(like: Any) -> jax.Array:
    """Weights between 0.5 and 1.5 that no symmetry of a loss can hide behind, sharded as `like`."""
    places = [lax.broadcasted_iota(jnp.float32, like.shape, axis) for axis in range(like.ndim)]
    phase = sum((axis + 0.7) * place for axis, place in enumerate(places))
    return jnp.zeros_like(like) + (1 + 0.5 * jnp.sin(1 + phase)).astype(like.dtype)


def split(row: Row, arrays: Mapping[str, Any]) -> tuple[Named, Named]:
    """The arrays that are differentiated, and the others."""
    active = {name: array for name, array in arrays.items() if name in row.differentiable}
    return active, {name: array for name, array in arrays.items() if name not in active}


def value(row: Row, setting: Mapping[str, Any]) -> Callable[[Named], Tree]:
    """The function on a dictionary of arrays."""
    return _jitted(_value, row, setting)


def first(row: Row, setting: Mapping[str, Any]) -> Callable[[Named], First]:
    """Value and both first derivatives."""
    return _jitted(_first, row, setting)


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


def _losses(row: Row, setting: Named, arrays: Named) -> tuple[Callable[[Named], list[Any]], Named]:
    active, passive = split(row, arrays)
    return lambda active: floats(row.batched(**setting)(**active, **passive)), active


def _gradient(losses: Callable[[Named], list[Any]], active: Named) -> Named:
    values, pull = jax.vjp(losses, active)
    return pull([wave(leaf) for leaf in values])[0]


def _first(row: Row, setting: Named, arrays: Named) -> First:
    losses, active = _losses(row, setting, arrays)
    _, tangent = jax.jvp(losses, (active,), (jax.tree.map(wave, active),))
    return First(_value(row, setting, arrays), _gradient(losses, active), tangent)


def _second(row: Row, setting: Named, arrays: Named) -> Second:
    losses, active = _losses(row, setting, arrays)
    gradient, hvp = jax.jvp(partial(_gradient, losses), (active,), (jax.tree.map(wave, active),))
    return Second(_value(row, setting, arrays), gradient, hvp)


def on_host(tree: Tree) -> Tree:
    return jax.tree.map(np.asarray, tree)
