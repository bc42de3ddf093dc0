"""Every public function, one row each, one module a room; one without a row fails the suite."""

import importlib
import pkgutil

from tests.registry._row import Kind as Kind
from tests.registry._row import Row as Row

ROWS = [
    row
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name)
    if not module.name.startswith("_")
    for row in importlib.import_module(f"{__name__}.{module.name}").ROWS
]
