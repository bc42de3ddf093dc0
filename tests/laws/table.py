"""Which laws each kind of function is held to, and the parameters that a law runs over."""

from collections.abc import Iterator

import pytest

from tests.registry import ROWS, Kind, Row

LOSSES = {Kind.ELEMENTWISE, Kind.CLASS, Kind.BOX, Kind.REGION, Kind.PAIRWISE, Kind.COMPOSITE}
EVERY = set(Kind)
# Where a law costs much to compile, one function in so many runs outside of thorough runs.
COSTLY = 6

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
    "platforms": EVERY,
    "mesh": EVERY,
    "docstring": EVERY,
}


def held(law: str, *, every_setting: bool = False, sample: int = 1) -> pytest.MarkDecorator:
    """Parametrises a test with `row` and `setting` over the functions held to `law`.

    Settings after the first are left to thorough runs; where a law costs much, so are all
    functions but one in `sample` of a kind.
    """
    return pytest.mark.parametrize(
        ("row", "setting"), list(_parameters(law, every_setting, sample))
    )


def sampled(law: str, sample: int) -> set[str]:
    """One function in `sample` of each kind, others for each law."""
    chosen = set()
    for kind in Kind:
        names = sorted(row.name for row in rows_of(law) if row.kind is kind)
        chosen |= set(names[len(law) % sample :: sample] or names[:1])
    return chosen


def _parameters(law: str, every_setting: bool, sample: int) -> Iterator[object]:
    chosen = sampled(law, sample)
    for row in rows_of(law):
        for index, setting in enumerate(row.settings if every_setting else row.settings[:1]):
            marks = [pytest.mark.xdist_group(row.name)]
            name = f"{row.name}-{index}" if index else row.name
            if index or row.name not in chosen:
                marks.append(pytest.mark.thorough)
            yield pytest.param(row, setting, id=name, marks=marks)


def rows_of(law: str) -> list[Row]:
    return [row for row in ROWS if row.kind in LAWS[law] and law not in row.exempt]
