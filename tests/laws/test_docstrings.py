"""A docstring is the specification: its sections in order, and an example that runs."""

import doctest
import inspect

import jax
import jax.numpy as jnp
import numpy as np

import jaxloss
from tests.laws.table import held

SECTIONS = (
    "Formula",
    "Args",
    "Returns",
    "Edge cases",
    "Differences",
    "Raises",
    "Reference",
    "Example",
)


@held("docstring")
def test_docstring_has_every_section_in_order(row, setting):
    text = inspect.getdoc(row.function) or ""
    assert text.split("\n")[0].endswith("."), "one sentence first"
    places = [text.find(f"\n{section}:\n") for section in SECTIONS]
    assert -1 not in places, SECTIONS[places.index(-1)]
    assert places == sorted(places)


@held("docstring")
def test_docstring_names_every_argument(row, setting):
    text = inspect.getdoc(row.function) or ""
    for name in inspect.signature(row.function).parameters:
        assert f"\n  {name}:" in text, name


@held("docstring")
def test_example_runs(row, setting):
    names = {"jax": jax, "jnp": jnp, "np": np, "jaxloss": jaxloss}
    (found,) = doctest.DocTestFinder(recurse=False).find(row.function, row.name, globs=names)
    assert found.examples
    report = []
    outcome = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(
        found, out=report.append
    )
    assert not outcome.failed, "".join(report)
