"""Every platform's text has the same numbers: those for GPUs and TPUs are run by a CPU here."""

import jax
import numpy as np
import pytest

from tests.compiling import OPTIMIZED
from tests.laws.programs import first, floats, on_host
from tests.laws.table import held

ROUNDING = 2e-5
# Of the largest number of an example, 5 ulp: where terms cancel, each text rounds them otherwise.
CANCELLED = 6e-7
# Of nothing in the result: rotated boxes share the sum of four edges, of order 1, whose slopes are
# one over the shortest side, more where slivers cross; inner boxes that are identical have slopes
# of that size which are each other's opposites. What remains of either is rounding, and each
# kernel rounds by its own contractions: 2.1e-8 and 5.2e-5 were found.
SUMMED = dict.fromkeys(
    ("boxes.rotated_iou", "rotated_iou_loss", "boxes.inner_iou", "inner_iou_loss"), (1e-7, 1e-4)
)

# A similarity close to 0, and what says so in its docstring: the error is of numbers of order 1.
OF_ORDER_1 = {"bi_tempered_logistic_loss": 1e-7, "boxes.cdiou": 1e-7}
# Compiled as users do: else kernels that compute the same huge centres round them otherwise.
OPTIMIZED_ROWS = {"kfiou_loss", "probiou_loss"}


@held("platforms", sample=3)
@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_other_platforms_have_the_same_numbers(row, setting, platform, monkeypatch):
    """Value and gradient over the edge inputs, if there are any."""
    arrays = row.cast(np.float32, row.zoo() if row.zoo else None)
    options = OPTIMIZED if row.name in OPTIMIZED_ROWS else None
    run = first(row, setting).__wrapped__
    expected = on_host(jax.jit(run, compiler_options=options)(arrays))

    def chosen(*operands, default=None, **texts):
        return texts.get(platform, default)(*operands)

    jax.clear_caches()  # or what was traced for the CPU is found again
    with monkeypatch.context() as patch:
        patch.setattr(jax.lax, "platform_dependent", chosen)
        found = on_host(jax.jit(run, compiler_options=options)(arrays))
    jax.clear_caches()

    slack, least = _slack(row, arrays), OF_ORDER_1.get(row.name, 0)
    for one, other in zip(floats(found), floats(expected), strict=True):
        _check(f"{row.name} for {platform}", one, other, slack.get(one.ndim, least))


def _slack(row, arrays):
    """By the rank of a number, what texts may differ by: a value, or slopes of pairs of boxes."""
    if row.name not in SUMMED:
        return {}
    of_value, of_slope = SUMMED[row.name]
    pairs = np.stack([array.astype(np.float64) for array in arrays.values()])
    sides = pairs[..., 2:4] - (0 if pairs.shape[-1] == 5 else pairs[..., :2])
    sides[:, (sides == 0).all((0, 2))] = 1  # two points are thickened to squares
    shortest = np.min(np.abs(sides), (0, 2), where=sides != 0, initial=np.inf)
    arms = np.ones((len(sides[0]), pairs.shape[-1]))
    arms[:, 4:] = np.max(np.abs(sides), (0, 2))[:, None]  # what an angle moves
    return {1: of_value, 2: of_slope * arms / shortest[:, None]}


def _check(name, found, expected, slack):
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(np.isfinite(found), finite, name)
    found, expected = (np.where(finite, x, 0).astype(np.float64) for x in (found, expected))
    largest = np.abs(expected).max(tuple(range(1, expected.ndim)), keepdims=True, initial=0)
    bound = ROUNDING * np.abs(expected) + CANCELLED * largest + slack
    off = np.abs(found - expected) > bound
    assert not off.any(), f"{name}: {found[off][:5]} where a CPU has {expected[off][:5]}"
