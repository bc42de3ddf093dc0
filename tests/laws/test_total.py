"""Finite wherever the exact result is representable: values, gradients and Hessians over the zoo.

Exact is the same function in float64, which must itself be finite: the zoo's inputs are float32's.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.laws.programs import floats, second
from tests.laws.table import held
from tests.registry import Kind

BOXES = (Kind.BOX, Kind.PAIRWISE)

SMALL = ("bfloat16", "float16")


@held("total", every_setting=True, sample=3)
def test_finite_where_representable(row, setting):
    """In float32, over edges of which the numbers of every dtype are near."""
    arrays = _edges(row)
    found = second(row, setting)(arrays)
    if all(np.isfinite(leaf).all() for leaf in floats(found)):
        return
    with jax.enable_x64(True):
        exact = second(row, setting)(row.cast(np.float64, arrays))
    for part in ("value", "gradient", "hvp"):
        for low, high in _pairs(found, exact, part):
            wild = ~np.isfinite(high)
            assert not wild.any(), f"{row.name}: float64 {part} {_where(wild, arrays)}"
            _check(row, arrays, part, low, high)


@pytest.mark.thorough
@held("total")
@pytest.mark.parametrize("dtype", SMALL)
def test_finite_in_small_floats_where_float32_fits(row, setting, dtype):
    arrays = _representable(row, dtype, row.zoo())
    found = second(row, setting)(arrays)
    exact = second(row, setting)(_widened(arrays, np.float32))
    for part in ("value", "gradient", "hvp"):
        for low, high in _pairs(found, exact, part):
            _check(row, arrays, part, low, high)


def _pairs(found, exact, part):
    leaves = [floats(getattr(second, part)) for second in (found, exact)]
    for low, high in zip(*leaves, strict=True):
        yield np.asarray(low), np.asarray(high)


def _check(row, arrays, part, low, high):
    largest = float(jnp.finfo(low.dtype).max)
    bad = ~np.isfinite(low.astype(np.float64)) & (np.abs(high) < 0.99 * largest)
    if part == "hvp" and low.dtype == np.float16 and row.kind in BOXES:
        bad &= ~_subnormal(arrays, low)
    assert not bad.any(), f"{row.name}: {low.dtype} {part} {_where(bad, arrays)}"


def _subnormal(arrays, like):
    """Where boxes have sides that float16 holds as subnormal numbers.

    Curvatures are one over their square, a thousand million times what float16 reaches: so is the
    rounding of two that cancel.
    """
    tiny = np.zeros(len(like), bool)
    for array in arrays.values():
        if len(array) == len(like):
            size = np.abs(array.astype(np.float64)).reshape(len(like), -1)
            tiny |= np.any((size > 0) & (size < np.finfo(np.float16).smallest_normal), 1)
    return np.expand_dims(tiny, tuple(range(1, like.ndim)))


def _where(bad, arrays):
    index = int(np.argwhere(bad)[0][0])
    inputs = {name: array[index].tolist() for name, array in arrays.items() if len(array) > index}
    return f"is not finite in {int(bad.sum())} places, first at {index}: {inputs}"


def _edges(row):
    """The zoo in float32, and what bfloat16 and float16 make of it."""
    if row.zoo is None:
        pytest.fail(f"{row.name} needs a zoo of edge inputs")
    zoo = row.zoo()
    parts = [_widened(_representable(row, dtype, zoo), np.float32) for dtype in ("float32", *SMALL)]
    return {
        name: array if name in row.shared else np.concatenate([part[name] for part in parts])
        for name, array in parts[0].items()
    }


def _representable(row, dtype, arrays):
    """`arrays` in `dtype`, with a row that fits it in place of each that overflows."""
    with np.errstate(over="ignore"):
        arrays = row.cast(jnp.dtype(dtype), arrays)
    fits = np.True_
    for name, array in arrays.items():
        if name not in row.shared and jnp.issubdtype(array.dtype, jnp.floating):
            finite = np.isfinite(array.astype(np.float64))
            fits = fits & finite.all(tuple(range(1, array.ndim)))
    chosen = np.where(fits, np.arange(fits.size), np.argmax(fits))
    return {name: a if name in row.shared else a[chosen] for name, a in arrays.items()}


def _widened(arrays, dtype):
    """In `dtype`; the kind of NumPy's bfloat16 is not "f"."""
    return {
        name: a.astype(dtype) if jnp.issubdtype(a.dtype, jnp.floating) else a
        for name, a in arrays.items()
    }
