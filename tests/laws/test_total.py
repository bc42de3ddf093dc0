"""Finite wherever the exact result is representable: values, gradients and Hessians over the zoo.

Exact is the same function in float64, which must itself be finite: the zoo's inputs are float32's.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.laws.programs import derivatives, floats
from tests.laws.table import held

SAMPLE = 4096


@pytest.fixture
def zoo_size(request):
    return SAMPLE if request.config.getoption("--zoo") == "sample" else None


@held("total", every_setting=True)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_finite_where_representable(row, setting, dtype, zoo_size):
    if row.zoo is None:
        pytest.fail(f"{row.name} needs a zoo of edge inputs")
    with np.errstate(over="ignore"):
        arrays = row.cast(jnp.dtype(dtype), _sample(row.zoo(), zoo_size, row.shared))
    arrays = _finite(arrays, row)
    found = derivatives(row, setting, arrays)
    with jax.enable_x64(True):
        exact = derivatives(row, setting, row.cast(np.float64, _as_numpy(arrays)))
    for part in ("value", "gradient", "hvp"):
        for low, high in zip(
            floats(getattr(found, part)), floats(getattr(exact, part)), strict=True
        ):
            _check(row, arrays, part, np.asarray(low), np.asarray(high))


def _check(row, arrays, part, low, high):
    assert np.isfinite(high).all(), (
        f"{row.name}: float64 {part} {_where(~np.isfinite(high), arrays)}"
    )
    largest = float(jnp.finfo(low.dtype).max)
    bad = ~np.isfinite(low.astype(np.float64)) & (np.abs(high) < 0.99 * largest)
    assert not bad.any(), f"{row.name}: {low.dtype} {part} {_where(bad, arrays)}"


def _where(bad, arrays):
    index = int(np.argwhere(bad)[0][0])
    inputs = {name: array[index].tolist() for name, array in arrays.items() if len(array) > index}
    return f"is not finite in {int(bad.sum())} places, first at {index}: {inputs}"


def _sample(arrays, size, shared):
    count = max(len(array) for name, array in arrays.items() if name not in shared)
    if size is None or count <= size:
        return arrays
    chosen = np.sort(np.random.default_rng(0).permutation(count)[:size])
    return {name: a if name in shared else a[chosen] for name, a in arrays.items()}


def _finite(arrays, row):
    """Without the rows that overflow in a smaller dtype."""
    keep = True
    for name, array in arrays.items():
        if name not in row.shared and jnp.issubdtype(array.dtype, jnp.floating):
            axes = tuple(range(1, array.ndim))
            keep = keep & np.isfinite(array.astype(np.float64)).all(axes)
    return {name: a if name in row.shared else a[keep] for name, a in arrays.items()}


def _as_numpy(arrays):
    """Through float64, since NumPy's kind of bfloat16 is not "f"."""
    return {
        name: a.astype(np.float64) if jnp.issubdtype(a.dtype, jnp.floating) else a
        for name, a in arrays.items()
    }
