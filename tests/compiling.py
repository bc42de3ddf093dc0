"""How the tests compile: they run thousands of programs once each."""

from importlib.metadata import version

# A third of the time, without optimisations; `--optimized` brings them back.
QUICK = {"xla_backend_optimization_level": 0, "xla_cpu_parallel_codegen_split_count": 1}
# As users compile, for `jax.jit(compiler_options=...)`: where the last bit is the question.
OPTIMIZED = {"xla_backend_optimization_level": 3}
if version("jaxlib").startswith("0.10."):
    QUICK["xla_cpu_use_fusion_emitters"] = False
    OPTIMIZED["xla_cpu_use_fusion_emitters"] = True
