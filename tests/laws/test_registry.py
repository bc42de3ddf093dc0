"""The registry holds every public function, and exemptions have reasons."""

import builtins
import inspect
import pathlib
import tomllib
from operator import attrgetter

import numpy as np
import optax
import pytest

import jaxloss
from tests.laws.table import LAWS
from tests.registry import ROWS, Kind

ROOMS = ("", "boxes.", "boxes.terms.", "matching.", "detection.")
# The Dice losses of optax are the stated exception: they guess shapes and cannot be jitted.
SHARED_WITH_OPTAX = [
    row for row in ROWS if hasattr(optax.losses, row.name) and row.name != "dice_loss"
]


def public_functions():
    for room in ROOMS:
        holder = attrgetter(room[:-1])(jaxloss) if room else jaxloss
        for name, value in vars(holder).items():
            ours = getattr(value, "__module__", "").startswith(holder.__name__)
            if inspect.isfunction(value) and ours and not name.startswith("_"):
                yield room + name


def test_every_public_function_has_one_row():
    assert sorted(public_functions()) == sorted(row.name for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_exemptions_name_a_law_and_give_a_reason(row):
    for law, reason in row.exempt.items():
        assert law in LAWS
        assert len(reason.split()) >= 5


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_hyperparameters_are_keywords(row):
    """After the arrays, keyword-only, unless optax's signature is kept."""
    parameters = inspect.signature(row.function).parameters.values()
    positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    kept = row in SHARED_WITH_OPTAX or row.name == "smooth_l1_loss"  # huber_loss's twin
    if not kept and row.kind is not Kind.GEOMETRY:
        state = ["state"] if row.stateful else []
        assert set(positional) <= {*row.arrays, *positional[:2], *state}
    assert not any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters)


@pytest.mark.parametrize("row", SHARED_WITH_OPTAX, ids=lambda row: row.name)
def test_optax_signature_is_kept(row):
    ours = list(inspect.signature(row.function).parameters.values())
    theirs = list(inspect.signature(getattr(optax.losses, row.name)).parameters.values())
    for our, their in zip(ours, theirs, strict=False):
        assert (our.name, our.default) == (their.name, their.default)


@pytest.mark.parametrize("row", SHARED_WITH_OPTAX, ids=lambda row: row.name)
def test_optax_numbers_are_kept(row):
    arrays = row.cast(np.float32)
    theirs = getattr(optax.losses, row.name)
    known = inspect.signature(theirs).parameters
    for setting in row.settings:
        if set(setting) <= set(known):
            np.testing.assert_allclose(
                row.function(**arrays, **setting), theirs(**arrays, **setting), rtol=2e-5, atol=1e-6
            )


def test_a_star_import_leaves_builtins_alone():
    assert not set(jaxloss.__all__) & set(dir(builtins))
    assert dir(jaxloss.matching) == ["Matches", "match_anchors", "mine_hard_negatives"]


def test_the_version_is_the_project_s():
    project = tomllib.loads((pathlib.Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert jaxloss.__version__ == project["project"]["version"]
