"""What keeps the time to trace short."""

from collections.abc import Callable
from typing import TypeVar, cast

import jax

Function = TypeVar("Function", bound=Callable[..., object])


def traced_once(function: Function) -> Function:
    """`function`, traced and differentiated once for all arrays of the same shapes and dtypes.

    It is for what a loss calls several times, and leaves nothing in the program. What it traces
    must not ask `for_tpu`.
    """
    return cast(Function, jax.jit(function, inline=True))
