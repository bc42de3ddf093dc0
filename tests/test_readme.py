"""The README's table of functions is true."""

import re
from pathlib import Path

from tests.registry import ROWS

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_the_table_lists_every_function_and_no_other():
    table = README.split("## What there is")[1].split("##")[0]
    listed = re.findall(r"^\| `([\w.]+)` \|", table, re.MULTILINE)
    assert sorted(listed) == sorted(row.name for row in ROWS)
