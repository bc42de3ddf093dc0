"""JAX at its strictest for every test: eight virtual devices, no promotion, warnings are errors."""

import os

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
)

import jax
import pytest

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--zoo",
        choices=("sample", "all"),
        default="sample",
        help="how many of the edge inputs the totality law runs over",
    )
