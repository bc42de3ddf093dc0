"""The chips that are compiled for, described to compilers that do not have them."""

import functools
from importlib.util import find_spec
from typing import Any

import jax
from jax.experimental import topologies
from jax.sharding import AxisType, Mesh

TPUS = {"v5e": "v5e:2x2", "v6e": "v6e:2x2"}
NAMES = (*TPUS, "H100")

H100 = """
gpu_device_info {
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_core: 233472
  threads_per_core_limit: 2048
  core_count: 132
  fpus_per_core: 128
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  memory_bandwidth: 3352320000000
  l2_cache_size: 52428800
  clock_rate_ghz: 1.98
  device_memory_size: 84929347584
  shared_memory_per_block_optin: 232448
  cuda_compute_capability { major: 9 }
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 12 }
runtime_version { major: 13 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""


def missing(name: str) -> str:
    """Why there is no compiler for this chip, or nothing."""
    package, module = (
        ("libtpu", "libtpu") if name in TPUS else ("jax-cuda13-plugin", "jax_plugins.xla_cuda13")
    )
    try:
        found = find_spec(module) is not None
    except ModuleNotFoundError:
        found = False
    return "" if found else f"no compiler for {name}: {package} is absent; `make bench-compilers`"


@functools.cache
def device(name: str) -> Any:
    """One chip."""
    if name in TPUS:
        return _tpu(TPUS[name]).devices[0]
    topology = topologies.get_topology_desc(platform="cuda", target_config=H100, topology="1x1x1")
    return topology.devices[0]


def mesh(shape: tuple[int, int], axis_names: tuple[str, str]) -> Mesh:
    """Sixteen v5e, with automatic axes."""
    topology = _tpu("v5e:4x4")
    return jax.make_mesh(
        shape, axis_names, devices=topology.devices, axis_types=(AxisType.Auto,) * 2
    )


def _tpu(topology: str) -> Any:
    return topologies.get_topology_desc(platform="tpu", topology_name=topology)
