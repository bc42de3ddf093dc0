"""Every platform's text has the same numbers: those for GPUs and TPUs are run by a CPU here."""

import jax
import numpy as np
import pytest

from tests.laws.programs import first, floats, on_host
from tests.laws.table import held

ROUNDING = 2e-5
# Of the largest number of an example, 2.5 ulp: where terms cancel, each text rounds them otherwise.
CANCELLED = 3e-7


@held("platforms", sample=3)
@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_other_platforms_have_the_same_numbers(row, setting, platform, monkeypatch):
    """Value and gradient over the edge inputs, if there are any."""
    arrays = row.cast(np.float32, row.zoo() if row.zoo else None)
    expected = on_host(first(row, setting)(arrays))

    def chosen(*operands, default=None, **texts):
        return texts.get(platform, default)(*operands)

    jax.clear_caches()  # or what was traced for the CPU is found again
    with monkeypatch.context() as patch:
        patch.setattr(jax.lax, "platform_dependent", chosen)
        found = on_host(jax.jit(first(row, setting).__wrapped__)(arrays))
    jax.clear_caches()

    for one, other in zip(floats(found), floats(expected), strict=True):
        _check(f"{row.name} for {platform}", one, other)


def _check(name, found, expected):
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(np.isfinite(found), finite, name)
    found, expected = (np.where(finite, x, 0).astype(np.float64) for x in (found, expected))
    largest = np.abs(expected).max(tuple(range(1, expected.ndim)), keepdims=True, initial=0)
    bound = ROUNDING * np.abs(expected) + CANCELLED * largest
    off = np.abs(found - expected) > bound
    assert not off.any(), f"{name}: {found[off][:5]} where a CPU has {expected[off][:5]}"
