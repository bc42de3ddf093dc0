"""Embedding losses against formulas in NumPy float64: values, gradients, masks, meshes."""

import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxloss
from jaxloss import _derivatives, _lengths, _sums
from tests.calculus import differences
from tests.registry._row import normal

A, B, C = (normal(7, 4, seed=seed) for seed in (1, 2, 3))
SAME = np.array([True, False, False, True, False, True, False])
LABELS = np.array([4, 0, 4, 1, 1, 4, -2], np.int32)
CLASSES = np.array([4, 0, 4, 1, 1, 3, 2], np.int32)
KERNEL = normal(4, 5, seed=4)
KEPT = np.array([True, True, False, True, True, True, False])
MESHES = [AxisType.Explicit, pytest.param(AxisType.Auto, marks=pytest.mark.thorough)]
CLOSE = {"rtol": 1e-12, "atol": 1e-13}


def softplus(x):
    return np.logaddexp(0, x)


def unit(x, axis=-1):
    return x / np.linalg.norm(x, axis=axis, keepdims=True)


def contrastive(a, b, same, margin=1.0):
    d = np.linalg.norm(a - b, axis=-1)
    return np.where(same, d**2, np.maximum(margin - d, 0) ** 2) / 2


def triplet(a, p, n, norm_degree=2, margin=1.0, eps=1e-6):
    def distance(x):
        return ((np.abs(x) ** norm_degree).sum(-1) + eps) ** (1 / norm_degree)

    return np.maximum(distance(a - p) - distance(a - n) + margin, 0)


def related(labels, i):
    """The other examples of the label of example `i`, and those of other labels."""
    others = [j for j in range(len(labels)) if j != i]
    positive = [j for j in others if labels[j] == labels[i]]
    return positive, [j for j in others if labels[j] != labels[i]]


def supervised_contrastive(x, labels, temperature):
    s, losses = x @ x.T / temperature, []
    for i in range(len(x)):
        positive, negative = related(labels, i)
        rest = np.logaddexp.reduce(s[i, positive + negative])
        losses.append(np.mean([rest - s[i, p] for p in positive]) if positive else 0)
    return np.array(losses)


def ntxent(x, labels, temperature=0.07):
    s, losses = unit(x) @ unit(x).T / temperature, []
    for i in range(len(x)):
        positive, negative = related(labels, i)
        losses += [np.logaddexp.reduce(s[i, [p, *negative]]) - s[i, p] for p in positive]
    return np.mean(losses) if losses else 0.0


def info_nce(q, k, temperature):
    s = q @ k.T / temperature
    return np.logaddexp.reduce(s, axis=-1) - np.diag(s)


def circle(x, labels, margin=0.25, scale=256.0, weights=None):
    """With the weights of the cosines of `weights`, which do not move with `x`."""
    s, losses = unit(x) @ unit(x).T, []
    fixed = s if weights is None else unit(weights) @ unit(weights).T
    for i in range(len(x)):
        positive, negative = related(labels, i)
        if not positive or not negative:
            losses.append(0.0)
            continue
        near = np.maximum(1 + margin - fixed[i, positive], 0) * (s[i, positive] - (1 - margin))
        far = np.maximum(fixed[i, negative] + margin, 0) * (s[i, negative] - margin)
        losses.append(
            softplus(np.logaddexp.reduce(-scale * near) + np.logaddexp.reduce(scale * far))
        )
    return np.array(losses)


def center(x, labels, centers):
    return np.square(x - centers[labels]).sum(-1) / 2


def arcface(x, kernel, labels, margin=0.5, scale=64.0):
    cosines = unit(x) @ unit(kernel, 0)
    for i, label in enumerate(labels):
        theta = np.arccos(cosines[i, label])
        beyond = cosines[i, label] - margin * np.sin(np.pi - margin)
        cosines[i, label] = np.cos(theta + margin) if theta + margin < np.pi else beyond
    return scale * cosines


def cosface(x, kernel, labels, margin=0.35, scale=64.0):
    return scale * (unit(x) @ unit(kernel, 0) - margin * np.eye(kernel.shape[1])[labels])


def weighted_differences(function, x):
    return differences(lambda x: total(function(x)), x)


def pulled(function, *active):
    """Values, and gradients of the same sum, in one program."""

    @jax.jit
    def program(*active):
        values, pull = jax.vjp(function, *active)
        return values, pull(jnp.linspace(0.5, 1.5, values.size).reshape(values.shape))

    return program(*active)


def total(losses):
    return (losses * np.linspace(0.5, 1.5, np.size(losses)).reshape(np.shape(losses))).sum()


TEMPERATURE = {"temperature": 0.3}
REFERENCES = [
    (jaxloss.contrastive_loss, contrastive, (0.4 * A, 0.4 * B, SAME), {"margin": 1.3}, (0, 1)),
    *(
        (jaxloss.triplet_margin_loss, triplet, (A, B, C), setting, (0, 1, 2))
        for setting in (
            {},
            {"norm_degree": 1, "eps": 0.0},
            {"norm_degree": 3, "margin": 0.3},
            {"norm_degree": 1.5, "eps": 0.1},
        )
    ),
    (
        jaxloss.supervised_contrastive_loss,
        supervised_contrastive,
        (unit(A), LABELS),
        TEMPERATURE,
        (0,),
    ),
    (jaxloss.ntxent, ntxent, (A, LABELS), {}, (0,)),
    (jaxloss.ntxent, ntxent, (A, np.zeros(7, np.int32)), {}, (0,)),
    (jaxloss.info_nce_loss, info_nce, (A, B), TEMPERATURE, (0, 1)),
    (jaxloss.center_loss, center, (A, CLASSES, KERNEL.T), {}, (0, 2)),
    (jaxloss.arcface_logits, arcface, (A, KERNEL, CLASSES), {"margin": 1.1, "scale": 3.0}, (0, 1)),
    (jaxloss.arcface_logits, arcface, (-A, KERNEL, CLASSES), {}, (0, 1)),
    (jaxloss.cosface_logits, cosface, (A, KERNEL, CLASSES), {}, (0, 1)),
]


@pytest.mark.parametrize(("loss", "formula", "arrays", "setting", "differentiable"), REFERENCES)
def test_value_and_gradient_are_the_formulas(loss, formula, arrays, setting, differentiable):
    with jax.enable_x64(True):
        found, slopes = pulled(
            lambda *active: loss(*with_(arrays, differentiable, active), **setting),
            *(arrays[i] for i in differentiable),
        )
    chex.assert_trees_all_close(found, formula(*arrays, **setting), **CLOSE)
    for i, slope in zip(differentiable, slopes, strict=True):
        expected = weighted_differences(
            lambda x, i=i: formula(*with_(arrays, (i,), (x,)), **setting), arrays[i]
        )
        scale = np.abs(expected).max()
        chex.assert_trees_all_close(slope, expected, rtol=1e-6, atol=1e-8 * scale)


def with_(arrays, places, values):
    arrays = list(arrays)
    for place, value in zip(places, values, strict=True):
        arrays[place] = value
    return arrays


@pytest.mark.parametrize("setting", [{}, {"margin": 0.4, "scale": 8.0}])
def test_circle_loss_differentiates_with_its_weights_fixed(setting):
    with jax.enable_x64(True):
        found, (slope,) = pulled(lambda x: jaxloss.circle_loss(x, LABELS, **setting), A)
    chex.assert_trees_all_close(found, circle(A, LABELS, **setting), **CLOSE)
    expected = weighted_differences(lambda x: circle(x, LABELS, weights=A, **setting), A)
    chex.assert_trees_all_close(slope, expected, rtol=1e-6, atol=1e-6)


def test_check_values():
    @jax.jit
    def found():
        a, b = jnp.array([[0.4, 0.0], [0.0, 0.4]]), jnp.zeros((2, 2))
        pairs = jaxloss.contrastive_loss(a, b, jnp.array([True, False]))
        x, y = jnp.array([[1, 0], [0.8, 0.6], [0, 1], [-0.6, 0.8]]), jnp.array([0, 0, 1, 1])
        contrast = jaxloss.supervised_contrastive_loss(x, y, temperature=0.5)
        faces, names = plane(1, 0.8, 0.6, 0.3, 0.5, -0.2), jnp.array([0, 0, 0, 1, 1, 1])
        prototypes, own = (plane(1), plane(0.6, 0.2, -0.1).T), jnp.array([0])
        margins = (
            jaxloss.arcface_logits(*prototypes, own),
            jaxloss.arcface_logits(*prototypes, own, scale=30.0),
            jaxloss.cosface_logits(*prototypes, own),
        )
        cost = jaxloss.softmax_cross_entropy_with_integer_labels
        return [
            *pairs,
            jaxloss.mean(contrast),
            jaxloss.ntxent(x, y, 0.5),
            jaxloss.circle_loss(faces, names)[0],
            jaxloss.circle_loss(faces, names, scale=1.0)[0],
            *(cost(logits, own)[0] for logits in margins),
        ]

    with jax.enable_x64(True):
        pairs, contrast = [0.08, 0.18], [0.4301902771] * 2
        margins = [3.673141816, 1.87612105, 0.03995333334]
        expected = [*pairs, *contrast, 72.96, 2.038775492, *margins]
        np.testing.assert_allclose(found(), expected, rtol=1e-9)


def plane(*cosines):
    """Unit vectors with these cosines with (1, 0)."""
    c = np.array(cosines, float)
    return np.stack([c, np.sqrt(1 - c**2)], -1)


def test_optax_numbers_and_gradients():
    x, y = A.astype(np.float32), LABELS
    with jax.numpy_dtype_promotion("standard"):
        expected = jax.jit(jax.value_and_grad(optax.losses.ntxent))(x, y, 0.3)
    found = jax.jit(jax.value_and_grad(jaxloss.ntxent))(x, y, 0.3)
    chex.assert_trees_all_close(found, expected, rtol=1e-5, atol=1e-6)


def test_ntxent_of_no_pair_is_zero():
    x, distinct = A.astype(np.float32), np.arange(7, dtype=np.int32)
    chex.assert_trees_all_equal(
        jax.jit(jax.value_and_grad(jaxloss.ntxent))(x, distinct),
        (jnp.float32(0), jnp.zeros_like(x)),
    )


def test_masked_examples_are_sliced_away_from_ntxent():
    x = A.astype(np.float32)
    spoiled = np.where(KEPT[:, None], x, np.nan)
    loss = jax.jit(jax.value_and_grad(jaxloss.ntxent))
    value, slope = loss(spoiled, LABELS, where=KEPT)
    expected, slope_of_kept = loss(x[KEPT], LABELS[KEPT])
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(slope[KEPT], slope_of_kept, rtol=1e-5, atol=1e-6)
    assert not np.any(slope[~KEPT])
    assert loss(spoiled * np.nan, LABELS, where=np.zeros(7, bool))[0] == 0


def test_examples_without_positives_lose_nothing():
    x = unit(A).astype(np.float32)
    alone = np.array([np.sum(label == LABELS) == 1 for label in LABELS])
    losses = jax.jit(jaxloss.supervised_contrastive_loss)(x, LABELS, temperature=0.1)
    np.testing.assert_array_equal(losses == 0, alone)
    mean = jaxloss.mean(losses, where=~alone)
    np.testing.assert_allclose(mean, losses[~alone].mean(), rtol=1e-6)


@pytest.mark.parametrize(
    "loss",
    [
        lambda x: jaxloss.ntxent(x, LABELS),
        lambda x: jaxloss.circle_loss(x, LABELS, scale=8.0),
        lambda x: jaxloss.arcface_logits(x, KERNEL.astype(x.dtype), CLASSES, scale=1.0),
        lambda x: jaxloss.cosface_logits(x, KERNEL.astype(x.dtype), CLASSES, scale=1.0),
    ],
)
def test_length_does_not_matter_where_embeddings_are_normalised(loss):
    x, loss = A.astype(np.float32), jax.jit(loss)
    for factor in (1e-30, 1e-18, 3.0, 1e18, 1e30):
        np.testing.assert_allclose(loss(x * np.float32(factor)), loss(x), rtol=1e-5, atol=1e-6)


def test_a_confident_pair_keeps_its_digits():
    keys = np.array([[9.0, 0.0], [0.0, 9.0], [-9.0, 0.0]], np.float32)
    found = jax.jit(jaxloss.info_nce_loss)(keys, keys, temperature=1.0)
    rest = np.exp(-81.0), 2 * np.exp(-81.0)
    np.testing.assert_allclose(found[1], rest[1], rtol=1e-5)
    found = jax.jit(jaxloss.supervised_contrastive_loss)(
        keys[[0, 0, 2]], np.array([0, 0, 1]), temperature=1.0
    )
    np.testing.assert_allclose(found[0], np.exp(-162.0), rtol=1e-4, atol=1e-38)


def test_near_vectors_keep_their_distance():
    a = np.full((1, 3), 100, np.float32)
    b = a + np.float32([[2.0**-16, 0, -(2.0**-15)]])
    found = jaxloss.contrastive_loss(a, b, np.array([True]))
    np.testing.assert_allclose(found, [0.5 * (2.0**-32 + 2.0**-30)], rtol=1e-6)


def test_derivatives_at_one_point_are_zero():
    a = np.ones((2, 3), np.float32)
    for loss in (
        lambda b: jaxloss.contrastive_loss(a, b, np.array([True, False])),
        lambda b: jaxloss.triplet_margin_loss(a, b, b, eps=0.0),
        lambda b: jaxloss.triplet_margin_loss(a, b, b, norm_degree=1, eps=0.0),
        lambda b: jaxloss.triplet_margin_loss(a, b, a + 1, norm_degree=3, eps=0.0, margin=9),
    ):
        assert not np.any(pulled(loss, a)[1][0])


def test_triplets_of_any_degree_are_total():
    values = np.float32([0, 1e-30, -1e-18, 1e-7, 1, -3, 1e18, -1e30])
    x = np.stack(np.meshgrid(values, values, values), -1).reshape(-1, 3)
    y = np.roll(x, 5, 0)

    def slope(x, y, degree):
        def loss(x):
            losses = jaxloss.triplet_margin_loss(x, y, -y, norm_degree=degree)
            return jnp.sum(losses / 1e20)

        return jax.value_and_grad(loss)(x)

    traced, static = jax.jit(slope), jax.jit(slope, static_argnums=2)
    chex.assert_trees_all_close(traced(x, y, 2.0), static(x, y, 2), rtol=1e-4, atol=1e-25)
    for degree in (1.0, 1.5, 3.0, 5.0):
        chex.assert_tree_all_finite(traced(x, y, degree))


def test_second_derivatives_of_a_traced_degree_are_those_of_the_static_one():
    def hessian(degree):
        def loss(x):
            y = jnp.stack([x, jnp.zeros_like(x)], -1)[None]
            return jaxloss.triplet_margin_loss(y, 0 * y, 0 * y + 5, norm_degree=degree, margin=9)

        return jax.hessian(lambda x: jnp.sum(loss(x)))(jnp.float32([0.3]))

    np.testing.assert_allclose(
        jax.jit(hessian)(2.0), jax.jit(lambda: hessian(2))(), rtol=1e-4, atol=1e-5
    )


def test_arcface_is_right_at_the_smallest_angles():
    kernel, label = np.eye(2, dtype=np.float32), np.array([0])

    def first(x):
        return jaxloss.arcface_logits(x, kernel, label, scale=1.0)[0, 0]

    program = jax.jit(lambda x: (first(x), jax.grad(first)(x), jax.hessian(first)(x)))
    for angle in (0.0, 1e-6, 1e-4, 1e-2, 3.0, np.pi - 1e-4):
        sine, cosine = np.sin(angle), np.cos(angle)
        value, slope, curve = program(np.float32([[cosine, sine]]))
        beyond = angle + 0.5 > np.pi
        expected = cosine - 0.5 * np.sin(0.5) if beyond else np.cos(angle + 0.5)
        np.testing.assert_allclose(value, expected, atol=2e-7)
        turning = 0 if angle == 0 else -sine if beyond else -np.sin(angle + 0.5)
        np.testing.assert_allclose(slope[0] @ np.array([-sine, cosine]), turning, atol=1e-6)
        assert np.isfinite(curve).all()


def test_vectors_of_zeros():
    x, kernel = np.zeros((1, 3), np.float32), np.eye(3, dtype=np.float32)[:, :2]
    for logits in (jaxloss.arcface_logits, jaxloss.cosface_logits):
        for arrays in ((x, kernel), (x + 1, 0 * kernel)):
            found = pulled(lambda *arrays, f=logits: f(*arrays, np.array([1])), *arrays)
            chex.assert_tree_all_finite(found)
    np.testing.assert_array_equal(jaxloss.arcface_logits(x, kernel, np.array([1])), [[0, 0]])


def test_a_wrong_label_is_nan_in_value_and_gradient_of_its_example():
    y = CLASSES.copy()
    y[[1, 2, 4]] = -1, 5, 10**6
    wrong = ~np.isin(y, range(5))
    x, kernel = A.astype(np.float32), KERNEL.astype(np.float32)
    for loss in (
        lambda x: jaxloss.center_loss(x, y, kernel.T),
        lambda x: jaxloss.arcface_logits(x, kernel, y).sum(-1),
        lambda x: jaxloss.cosface_logits(x, kernel, y).sum(-1),
    ):
        value, (slope,) = pulled(loss, x)
        np.testing.assert_array_equal(np.isnan(value), wrong)
        np.testing.assert_array_equal(np.isnan(slope).all(-1), wrong)
    update = jax.jit(jaxloss.update_centers)
    for label in (-1, 5):
        assert np.isnan(update(kernel.T, x, np.where(wrong, label, y))).all()


def test_ignored_rows_of_logits_are_zero_through_the_cross_entropy():
    x, kernel = A.astype(np.float32), KERNEL.astype(np.float32)
    y = np.where(KEPT, CLASSES, -1)

    def loss(x):
        logits = jaxloss.arcface_logits(x, kernel, y, ignore_label=-1)
        return jaxloss.softmax_cross_entropy_with_integer_labels(logits, y, ignore_label=-1).sum()

    slope = jax.jit(jax.grad(loss))(np.where(KEPT[:, None], x, np.nan))
    np.testing.assert_array_equal((slope == 0).all(-1), ~KEPT)
    assert np.isfinite(slope).all()


def test_arrays_of_examples_by_examples_by_elements_are_not_made():
    x, y = normal(9, 5).astype(np.float32), np.arange(9) % 3
    for loss in (
        lambda x: jaxloss.supervised_contrastive_loss(x, y, temperature=0.1),
        lambda x: jaxloss.ntxent(x, y),
        lambda x: jaxloss.circle_loss(x, y),
        lambda x: jaxloss.info_nce_loss(x, x, temperature=0.1),
    ):
        program = str(jax.make_jaxpr(jax.grad(lambda x, loss=loss: loss(x).sum()))(x))
        assert "9,9]" in program
        assert "9,9,5]" not in program


def moved(centers, x, labels, rate=0.5):
    centers = centers.copy()
    for j in range(len(centers)):
        own = x[labels == j]
        centers[j] -= rate * (centers[j] - own).sum(0) / (1 + len(own))
    return centers


@pytest.mark.parametrize("rate", [0.5, 0.9])
def test_update_centers(rate):
    with jax.enable_x64(True):
        update = jax.jit(jaxloss.update_centers)
        found = update(KERNEL.T, A, CLASSES, rate=rate)
        np.testing.assert_allclose(found, moved(KERNEL.T, A, CLASSES, rate), rtol=1e-12)
        nonsense = np.where(KEPT, CLASSES, 99)
        x = np.where(KEPT[:, None], A, np.nan)
        found = update(KERNEL.T, x, nonsense, rate=rate, where=KEPT)
        expected = moved(KERNEL.T, A[KEPT], CLASSES[KEPT], rate)
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_centers_move_towards_embeddings_whose_sum_would_overflow():
    far = jnp.full((2, 1), 3e38, jnp.float32)
    found = jaxloss.update_centers(jnp.zeros((2, 1)), far, jnp.array([0, 1]))
    np.testing.assert_allclose(found, far / 4, rtol=1e-6)


def test_replicas_update_their_centers_alike():
    x, centers = normal(16, 3).astype(np.float32), normal(5, 3, seed=2).astype(np.float32)
    y, kept = np.arange(16) ** 2 % 5, np.arange(16) % 7 != 3

    def update(centers, x, y, where):
        return jaxloss.update_centers(centers, x, y, axis_name="batch", where=where)

    mesh = jax.make_mesh((8,), ("batch",))
    specs, arrays = (P(), P("batch"), P("batch"), P("batch")), (centers, x, y, kept)
    program = jax.jit(jax.shard_map(update, mesh=mesh, in_specs=specs, out_specs=P()))
    with jax.set_mesh(mesh):
        placed = map(jax.device_put, arrays, [NamedSharding(mesh, spec) for spec in specs])
        found = np.asarray(program(*placed))
    expected = moved(centers.astype(float), x[kept].astype(float), y[kept])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("axes", MESHES)
@pytest.mark.parametrize(
    "loss",
    [
        lambda x, y: jaxloss.supervised_contrastive_loss(x, y, temperature=0.5),
        lambda x, y: jaxloss.ntxent(x, y, where=y < 4),
        lambda x, y: jaxloss.circle_loss(x, y, scale=8.0, where=y < 4),
        lambda x, y: jaxloss.info_nce_loss(x, jnp.sin(x), temperature=0.5, where=y < 4),
    ],
)
def test_a_split_batch_is_compared_as_a_whole(loss, axes):
    x, y = normal(16, 3).astype(np.float32), np.arange(16) ** 2 % 5
    both = jax.jit(jax.value_and_grad(lambda x, y: jnp.sum(loss(x, y))))
    expected = both(x, y)
    mesh = jax.make_mesh((8,), ("batch",), axis_types=(axes,))
    with jax.set_mesh(mesh):
        found = both(*(jax.device_put(a, NamedSharding(mesh, P("batch"))) for a in (x, y)))
    chex.assert_trees_all_close(
        jax.tree.map(np.asarray, found), jax.tree.map(np.asarray, expected), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("axes", MESHES)
@pytest.mark.parametrize("logits", [jaxloss.arcface_logits, jaxloss.cosface_logits])
def test_split_classes_need_no_gathering(logits, axes):
    x, kernel = normal(8, 3).astype(np.float32), normal(3, 12, seed=1).astype(np.float32)
    y = np.arange(8) % 5

    def loss(x, kernel, y):
        scaled = logits(x, kernel, y, scale=4.0)
        return jnp.sum(jaxloss.softmax_cross_entropy_with_integer_labels(scaled, y))

    program = jax.jit(jax.value_and_grad(loss, (0, 1)))
    expected = program(x, kernel, y)
    mesh = jax.make_mesh((2, 4), ("batch", "classes"), axis_types=(axes,) * 2)
    specs = P("batch"), P(None, "classes"), P("batch")
    with jax.set_mesh(mesh):
        placed = [
            jax.device_put(a, NamedSharding(mesh, spec))
            for a, spec in zip((x, kernel, y), specs, strict=True)
        ]
        compiled = program.lower(*placed).compile()
        found = compiled(*placed)
    chex.assert_trees_all_close(
        jax.tree.map(np.asarray, found), jax.tree.map(np.asarray, expected), rtol=1e-5, atol=1e-5
    )
    for gathering in (" all-gather(", " all-to-all(", " collective-permute("):
        assert gathering not in compiled.as_text()


def test_elements_masked_within_pairs_are_sliced_away():
    kept = np.array([True, False, True, True])
    mask = np.broadcast_to(kept, A.shape)
    spoiled = np.where(mask, A, np.nan)
    with jax.enable_x64(True):
        for loss, arrays in (
            (jaxloss.contrastive_loss, (B, SAME)),
            (jaxloss.triplet_margin_loss, (B, C)),
        ):
            others = [a[:, kept] if a.ndim == 2 else a for a in arrays]
            found = jax.jit(loss)(spoiled, *arrays, where=mask)
            np.testing.assert_allclose(found, jax.jit(loss)(A[:, kept], *others), rtol=1e-12)


@pytest.mark.parametrize("size", [1.0, 0.0, 1e-30, 1e-12, 1e18, 1e37])
def test_one_device_has_the_values_and_derivatives_of_many(monkeypatch, size):
    """The forms for a CPU that is one device: one pass over vectors, one kernel of gradients."""
    vectors = [(size * normal(5, 64, seed=seed)).astype(np.float32) for seed in (1, 2, 3)]
    vectors[1][:2] = vectors[0][:2]
    kept = np.arange(64) < 60

    def losses(*vectors):
        kept_pairs = np.broadcast_to(kept, vectors[0].shape)
        triplets = jaxloss.triplet_margin_loss(*vectors, eps=0.0, margin=1.0 + size)
        masked = jaxloss.triplet_margin_loss(*vectors, where=kept_pairs)
        angles = jaxloss.cosine_distance(*vectors[:2]), jaxloss.cosine_similarity(*vectors[1:])
        return triplets, masked, *angles

    def totals(*vectors):
        triplets, masked, *angles = losses(*vectors)
        return 0.25 * jnp.sum(triplets) + 0.25 * jnp.sum(masked) + sum(map(jnp.sum, angles))

    def both(*vectors):
        slopes = jax.grad(totals, (0, 1, 2))
        changes = tuple(jnp.roll(x, 1, -1) * min(1.0, 1 / max(size, 1.0)) for x in vectors)
        return losses(*vectors), slopes(*vectors), jax.jvp(slopes, vectors, changes)[1]

    found = []
    for alone in (False, True):
        for module in (_lengths, _sums, _derivatives):
            monkeypatch.setattr(module, "undivided", lambda alone=alone: alone)
        jax.clear_caches()
        found.append(jax.jit(lambda *vectors: both(*vectors))(*vectors))
    jax.clear_caches()
    for many, one in zip(*map(jax.tree.leaves, found), strict=True):
        assert np.all(np.isfinite(one))
        np.testing.assert_allclose(one, many, rtol=1e-4, atol=1e-5 * np.abs(many).max())


def test_lengths_of_tiny_gaps_without_a_floor():
    a, b, c = (np.float32(1e-20) * x.astype(np.float32) for x in (A, B, C))
    found = jaxloss.triplet_margin_loss(a, b, c, margin=0.0, eps=0.0)
    near, far = (np.linalg.norm(A - x, axis=-1) for x in (B, C))
    np.testing.assert_allclose(1e20 * found, np.maximum(near - far, 0), rtol=1e-4, atol=1e-6)


def test_errors_name_what_is_wrong():
    for axis in (2, (0, 1)):
        with pytest.raises(ValueError, match=rf"`axis` is {re.escape(str(axis))}, expected one"):
            jaxloss.triplet_margin_loss(A, B, C, axis=axis)
    with pytest.raises(TypeError, match=r"`axis` is 1.0, .* by keyword, as `margin=1.0`"):
        jaxloss.triplet_margin_loss(A, B, C, 1.0)
    with pytest.raises(TypeError, match="`same` has dtype int"):
        jaxloss.contrastive_loss(A, B, SAME.astype(int))
    with pytest.raises(ValueError, match="`kernel` has shape"):
        jaxloss.arcface_logits(A, KERNEL.T, CLASSES)
    with pytest.raises(ValueError, match="`centers` has shape"):
        jaxloss.center_loss(A, CLASSES, KERNEL)
    with pytest.raises(ValueError, match="`embeddings` has shape"):
        jaxloss.ntxent(A[0], LABELS)
