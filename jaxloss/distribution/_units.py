"""Nats and other units of information."""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxloss._arguments import Arguments


def in_base(check: Arguments, base: ArrayLike | None, nats: Array) -> Array:
    """`nats` in the unit whose logarithms have this base."""
    if base is None:
        return nats
    return nats / jnp.log(check.scalar("base", base, nats, above=0, other_than=1))
