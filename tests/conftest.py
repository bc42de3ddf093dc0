"""JAX at its strictest for every test: eight virtual devices, no promotion, warnings are errors."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import pytest

from tests.compiling import QUICK

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

FLAGS = [os.environ.get("XLA_FLAGS", ""), "--xla_force_host_platform_device_count=8"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--thorough",
        action="store_true",
        help="run every dtype and every setting of every law, not a sample",
    )
    parser.addoption(
        "--optimized", action="store_true", help="compile as XLA does by default, which is slow"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "thorough: left out unless --thorough is given")
    quick = {} if config.getoption("--optimized") else QUICK
    flags = [f"--{name}={value}".lower() for name, value in quick.items()]
    os.environ["XLA_FLAGS"] = " ".join([*FLAGS, *flags])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--thorough"):
        return
    left_out = [item for item in items if item.get_closest_marker("thorough")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not item.get_closest_marker("thorough")]
