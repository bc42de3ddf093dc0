"""optax's own tests of the losses that both have, run with ours in their place."""

from collections.abc import Iterator
from types import ModuleType

import jax
import optax
import pytest
from optax.losses import (
    _classification,
    _classification_test,
    _regression,
    _regression_test,
    _self_supervised,
    _self_supervised_test,
    _smoothing,
    _smoothing_test,
)

import jaxloss
from tests.registry import ROWS

SUITES = (_classification_test, _regression_test, _self_supervised_test, _smoothing_test)
ROOMS = (_classification, _regression, _self_supervised, _smoothing)
SHARED = [row.name for row in ROWS if hasattr(optax.losses, row.name)]

OPTAX_ALONE = {"CTCTest", "PerceptronTest", "SparsemaxTest"}
pytestmark = pytest.mark.thorough


@pytest.fixture(autouse=True)
def ours(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for room in ROOMS:
        for name in SHARED:
            if hasattr(room, name):
                monkeypatch.setattr(room, name, getattr(jaxloss, name))
    # optax's tests are not written for the strictness of ours.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def cases(suite: ModuleType) -> dict[str, type]:
    tests = {name: value for name, value in vars(suite).items() if name.endswith("Test")}
    return {name: value for name, value in tests.items() if name not in OPTAX_ALONE}


for _suite in SUITES:
    globals().update(cases(_suite))
