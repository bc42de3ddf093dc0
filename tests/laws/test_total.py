"""Finite wherever the exact result is representable: values, gradients and Hessians over the zoo.

Exact is the same function in float64, which must itself be finite: the zoo's inputs are float32's.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.laws.programs import floats, second
from tests.laws.table import held

SMALL = [pytest.param(d, marks=pytest.mark.thorough) for d in ("bfloat16", "float16")]


@held("total", every_setting=True)
@pytest.mark.parametrize("dtype", ["float32", *SMALL])
def test_finite_where_representable(row, setting, dtype):
    if row.zoo is None:
        pytest.fail(f"{row.name} needs a zoo of edge inputs")
    arrays = _representable(row, dtype, row.zoo())
    found = second(row, setting)(arrays)
    with jax.enable_x64(True):
        exact = second(row, setting)(row.cast(np.float64, _widened(arrays)))
    for part in ("value", "gradient", "hvp"):
        pairs = zip(floats(getattr(found, part)), floats(getattr(exact, part)), strict=True)
        for low, high in pairs:
            _check(row, arrays, part, np.asarray(low), np.asarray(high))


def _check(row, arrays, part, low, high):
    wild = ~np.isfinite(high)
    assert not wild.any(), f"{row.name}: float64 {part} {_where(wild, arrays)}"
    largest = float(jnp.finfo(low.dtype).max)
    bad = ~np.isfinite(low.astype(np.float64)) & (np.abs(high) < 0.99 * largest)
    assert not bad.any(), f"{row.name}: {low.dtype} {part} {_where(bad, arrays)}"


def _where(bad, arrays):
    index = int(np.argwhere(bad)[0][0])
    inputs = {name: array[index].tolist() for name, array in arrays.items() if len(array) > index}
    return f"is not finite in {int(bad.sum())} places, first at {index}: {inputs}"


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


def _widened(arrays):
    """Through float64, since the kind of NumPy's bfloat16 is not "f"."""
    return {
        name: a.astype(np.float64) if jnp.issubdtype(a.dtype, jnp.floating) else a
        for name, a in arrays.items()
    }
