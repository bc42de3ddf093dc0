"""JAX at its strictest for every test: eight virtual devices, no promotion, warnings are errors."""

import os
from importlib.metadata import version

os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import pytest

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

FLAGS = [os.environ.get("XLA_FLAGS", ""), "--xla_force_host_platform_device_count=8"]
# The tests compile thousands of programs and run each once: a third of the time without these
# optimisations, which `--optimized` brings back.
QUICK = ["--xla_backend_optimization_level=0", "--xla_cpu_parallel_codegen_split_count=1"]
if version("jaxlib").startswith("0.10."):
    QUICK.append("--xla_cpu_use_fusion_emitters=false")


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
    quick = [] if config.getoption("--optimized") else QUICK
    os.environ["XLA_FLAGS"] = " ".join([*FLAGS, *quick])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--thorough"):
        return
    left_out = [item for item in items if item.get_closest_marker("thorough")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not item.get_closest_marker("thorough")]
