"""What value and gradient compute, keep and send, as far as a CPU's compiler tells."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import jaxloss
from bench.compilers.cases import cases
from bench.compilers.jaxpr import transcendentals
from bench.compilers.sharding import SHARDED, SPECS, collectives
from jaxloss import _classes, _sums
from tests.compilers.figures import compiled, counted, per_element, temporary
from tests.compilers.limits import TEMPORARY, TRANSCENDENTALS
from tests.compiling import OPTIMIZED

# Where compiling for the CPU costs much, one loss in so many runs outside of thorough runs.
SAMPLE = 4
# Versions of XLA differ in what they keep.
SLACK = 0.1


def sampled():
    for place, case in enumerate(compiled()):
        marks = [] if place % SAMPLE == 0 else [pytest.mark.thorough]
        yield pytest.param(case, id=case.name, marks=marks)


@pytest.mark.parametrize("case", list(counted()), ids=lambda case: case.name)
def test_no_more_transcendental_functions(case):
    assert per_element(case) <= TRANSCENDENTALS[case.name]


@pytest.mark.parametrize("case", list(sampled()))
def test_no_more_temporary_memory(case):
    assert temporary(case) <= TEMPORARY[case.name] + SLACK


def test_what_is_computed_twice_counts_once_and_what_nobody_needs_does_not():
    def step(arrays):
        x = arrays["x"]
        unused = jnp.tanh(x)
        return jnp.exp(x) + jnp.exp(x) * jnp.log(x[:1, :1]), unused * 0 if x.ndim > 2 else x

    x = jax.ShapeDtypeStruct((8, 16), jnp.float32)
    assert transcendentals(step, {"x": x}, platform="tpu") == {"exp": 1}


def test_platforms_have_their_own_count():
    def step(arrays):
        return jax.lax.platform_dependent(
            arrays["x"], tpu=jnp.exp, default=lambda x: jnp.exp(x) + jnp.log(x)
        )

    x = {"x": jax.ShapeDtypeStruct((8, 16), jnp.float32)}
    assert transcendentals(step, x, platform="tpu") == {"exp": 1}
    assert transcendentals(step, x, platform="cpu") == {"exp": 1, "log": 1}


@pytest.mark.parametrize(
    ("axes", "reductions"), [("the batch", 1), ("the classes", 5), ("both", 6)]
)
def test_a_sharded_cross_entropy_needs_few_reductions(axes, reductions):
    found = _collectives(SHARDED, SPECS[axes])
    assert set(found) == {"all-reduce"}
    assert found["all-reduce"] <= reductions


@pytest.mark.parametrize(
    ("spec", "reductions"),
    [pytest.param(P("b"), 1, id="batch"), pytest.param(P("b", None, "v"), 2, id="classes")],
)
@pytest.mark.parametrize("name", ["sigmoid_focal_loss", "sigmoid_binary_cross_entropy"])
def test_a_sharded_elementwise_loss_reduces_once_an_axis(name, spec, reductions):
    found = _collectives(name, {"logits": spec, "labels": spec})
    assert found == {"all-reduce": reductions}


def weighted(x, y):
    weights, where = x[0], x < 1
    return jaxloss.softmax_cross_entropy_with_integer_labels(
        x, y, where=where, class_weights=weights, label_smoothing=0.1, temperature=2.0
    )


# Four of the longest loops that are unrolled.
ROWS, MAPS = (8, 4 * _classes.VECTORS * _classes.WIDTH), (2, 3, 128, 128)
LABELS = np.zeros(8, np.int32)


@pytest.mark.parametrize(
    ("loss", "x", "y"),
    [
        pytest.param(jaxloss.softmax_cross_entropy_with_integer_labels, ROWS, LABELS, id="labels"),
        pytest.param(weighted, ROWS, LABELS, id="weighted, smoothed labels"),
        pytest.param(
            jaxloss.softmax_cross_entropy, ROWS, np.ones(ROWS, np.float32), id="soft labels"
        ),
        pytest.param(
            lambda x, y: jaxloss.dice_loss(x, y, axis=(-2, -1)),
            MAPS,
            np.ones(MAPS, np.float32),
            id="regions",
        ),
    ],
)
def test_sums_of_several_arrays_are_unrolled_to_vectors(monkeypatch, tmp_path, loss, x, y):
    """LLVM would add longer lines, or larger terms, one number after another."""
    for module in (_classes, _sums):
        monkeypatch.setattr(module, "undivided", lambda: True)
    options = OPTIMIZED | {"xla_dump_to": str(tmp_path)}
    jax.jit(loss).lower(np.zeros(x, np.float32), y).compile(compiler_options=options)
    kernels = [path.read_text() for path in tmp_path.glob("*reduce_fusion*with-opt.ll")]
    if not kernels:
        pytest.skip("this version of XLA names the text of its kernels otherwise")
    found = [
        [len(re.findall(rf"= fmul[a-z ]* {kind}", kernel)) for kind in (r"<\d+ x float>", "float")]
        for kernel in kernels
    ]
    vectors, numbers = max(found, key=sum)
    assert vectors > 2 * numbers


def _collectives(name, specs):
    (case,) = (case for case in cases() if case.name == name)
    mesh = jax.make_mesh((2, 4), ("b", "v"), axis_types=(AxisType.Auto,) * 2)
    return collectives(case.in_float32(), mesh, specs, compiler_options=OPTIMIZED)
