"""Which laws each kind of function is held to, and the parameters that a law runs over."""

from collections.abc import Iterator

import pytest

from tests.registry import ROWS, Kind, Row

LOSSES = {Kind.ELEMENTWISE, Kind.CLASS, Kind.BOX, Kind.REGION, Kind.PAIRWISE, Kind.COMPOSITE}
EVERY = set(Kind)

LAWS = {
    "shape": EVERY,
    "jit": EVERY,
    "vmap": EVERY,
    "gradient": LOSSES | {Kind.REDUCTION, Kind.GEOMETRY},
    "total": LOSSES | {Kind.GEOMETRY},
    "where": EVERY,
    "void": {Kind.REGION},
    "all_masked": LOSSES | {Kind.REDUCTION},
    "errors": EVERY,
    "strict": EVERY,
    "dtypes": EVERY,
    "export": EVERY,
    "mesh": EVERY,
    "docstring": EVERY,
}


def held(law: str, *, every_setting: bool = False) -> pytest.MarkDecorator:
    """Parametrises a test with `row` and `setting` over the functions held to `law`.

    Settings after the first are left to thorough runs.
    """
    return pytest.mark.parametrize(("row", "setting"), list(_parameters(law, every_setting)))


def _parameters(law: str, every_setting: bool) -> Iterator[object]:
    for row in rows_of(law):
        for index, setting in enumerate(row.settings if every_setting else row.settings[:1]):
            marks = [pytest.mark.xdist_group(row.name)]
            name = f"{row.name}-{index}" if index else row.name
            if index:
                marks.append(pytest.mark.thorough)
            yield pytest.param(row, setting, id=name, marks=marks)


def rows_of(law: str) -> list[Row]:
    return [row for row in ROWS if row.kind in LAWS[law] and law not in row.exempt]
