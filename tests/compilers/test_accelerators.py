"""What compilers for a TPU and a GPU make of value and gradient; they come with `.[compilers]`."""

import pytest

import bench.compilers as environment
from bench.compilers import targets
from bench.compilers.cases import Case, cases
from bench.compilers.limits import LIMITS, Limit
from bench.compilers.measure import Figures, measure
from bench.compilers.sharding import sharded
from jaxloss.boxes import _blocks
from tests.compilers.limits import CYCLES, REACHED

assert environment
# The rules of `jaxloss`, each in a loss or two; thorough runs compile all.
CHOSEN = {
    *("sigmoid_focal_loss", "sigmoid_focal_loss of integer labels", "sigmoid_binary_cross_entropy"),
    *("smooth_l1_loss", "log_cosh", "adaptive_wing_loss", "gaussian_nll_loss"),
    *("softmax_cross_entropy", "softmax_cross_entropy_with_integer_labels", "softmax_focal_loss"),
    "softmax_cross_entropy_with_integer_labels (8192, 32768), weights and smoothing",
    *(
        "kl_divergence",
        "iou_loss",
        "giou_loss",
        "giou_loss (6400000, 4)",
        "ciou_loss",
        "dice_loss",
        "focal_tversky_loss",
    ),
}
# Versions of the compilers differ by little.
SLACK = 1.03


def parameters():
    for case in cases():
        if case.kind in LIMITS["v5e"]:
            marks = [] if case.name in CHOSEN else [pytest.mark.thorough]
            yield pytest.param(case, id=case.name, marks=marks)


@pytest.mark.parametrize("case", list(parameters()))
@pytest.mark.parametrize("chip", ["v5e", "H100"])
def test_no_more_traffic_memory_and_cycles(case, chip, monkeypatch):
    monkeypatch.setattr(_blocks, "undivided", lambda: True)  # one chip, whatever the tests have
    figures = _measured(case, chip)
    limit = _limit(case, chip)
    assert figures.traffic <= SLACK * limit.traffic
    assert figures.temporary <= SLACK * limit.temporary
    if chip == "v5e" and case.name in CYCLES:
        assert figures.megacycles <= SLACK * CYCLES[case.name]


def test_sharded_cross_entropy_only_reduces():
    _skip_without("v5e")
    found = dict(sharded())
    assert found["the batch"] == {"all-reduce": 1}
    assert all(set(counts) == {"all-reduce"} for counts in found.values())


def _measured(case: Case, chip: str) -> Figures:
    _skip_without(chip)
    return measure(case, chip)


def _skip_without(chip: str) -> None:
    if reason := targets.missing(chip):
        pytest.skip(reason)


def _limit(case: Case, chip: str) -> Limit:
    """Of its kind, or what it has reached if that is more."""
    return Limit(*map(max, LIMITS[chip][case.kind], REACHED.get((case.name, chip), (0, 0))))
