"""What is known, while tracing, of the devices that will run a program."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import jax

_FOR_TPU = ContextVar("for_tpu", default=False)


def for_tpu() -> bool:
    """Whether what is being traced is to run on TPUs alone, where another text is faster.

    A branch by platform where it is used would hide what value and slopes share.
    """
    return _FOR_TPU.get()


@contextmanager
def tracing_for_tpu() -> Iterator[None]:
    token = _FOR_TPU.set(True)
    try:
        yield
    finally:
        _FOR_TPU.reset(token)


def undivided() -> bool:
    """Whether no array is split over devices: the parts of merged axes would have to move."""
    return jax.device_count() == 1
