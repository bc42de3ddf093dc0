"""Matching against loops over a dense matrix, bit for bit, and mining against a sort."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxloss import boxes
from jaxloss.matching import Matches, match_anchors, mine_hard_negatives
from tests.compiling import OPTIMIZED
from tests.registry._row import boxes as random_boxes
from tests.registry._row import uniform

FORCES = [None, "last", "bipartite", "own"]


def reference(s, force, positive_threshold=0.5, negative_threshold=0.5):
    """Matches by the definition, from all similarities `[A, G]`, -inf for padded objects."""
    if not np.any(s > -np.inf):
        nothing = np.zeros(len(s), bool)
        return Matches(np.zeros(len(s), int), np.zeros(len(s), s.dtype), nothing, ~nothing)
    indices = np.argmax(s, 1)
    overlaps = np.max(s, 1)
    positive, negative = overlaps >= positive_threshold, overlaps < negative_threshold
    for anchor, g in claims(s, force):
        positive[anchor] = True
        if force != "own":
            indices[anchor], overlaps[anchor] = g, s[anchor, g]
    return Matches(indices, overlaps, positive, negative & ~positive)


def claims(s, force):
    if force == "last":
        return [(np.argmax(column), g) for g, column in enumerate(s.T) if column.max() > 0]
    if force == "own":
        columns = [(g, column) for g, column in enumerate(s.T) if column.max() > 0]
        return [(a, g) for g, column in columns for a in np.flatnonzero(column == column.max())]
    pairs, left = [], s.copy()
    while force == "bipartite" and left.max(initial=0) > 0:
        a, g = np.unravel_index(np.argmax(left), left.shape)
        pairs.append((a, g))
        left[a], left[:, g] = -np.inf, -np.inf
    return pairs


def iou_reference(a, b):
    a, b = a[:, None].astype(np.float64), b[None].astype(np.float64)
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    shared = np.prod(np.clip(high - low, 0, None), -1)
    areas = [np.prod(box[..., 2:] - box[..., :2], -1) for box in (a, b)]
    return shared / (areas[0] + areas[1] - shared)


compiled = partial(jax.jit, compiler_options=OPTIMIZED)


def objects(images, count, seed):
    """Objects as images have them, some identical, some far outside, some padded."""
    box = random_boxes(images, count, seed=seed, size=250.0)
    box[:, 5], box[:, 7], box[:, 8] = box[:, 3], box[:, 3], box[:, 8] + 1e4
    where = np.arange(count) < np.random.default_rng(seed).integers(0, count + 1, (images, 1))
    where[0] = True
    return box.astype(np.float32), where


def dense(similarity, anchors, box, where):
    s = boxes.pairwise(similarity)(anchors, box)
    return jnp.where(where[None], s, -jnp.inf)


def assert_same(found, expected):
    for name, leaf in zip(Matches._fields, found, strict=True):
        np.testing.assert_array_equal(leaf, getattr(expected, name), err_msg=name)


@pytest.mark.parametrize("force", FORCES)
def test_is_the_dense_form_bit_for_bit(force):
    anchors = boxes.ssd_anchors()
    box, where = objects(4, 64, seed=1)
    match = partial(match_anchors, anchors, force_match=force, negative_threshold=0.4)
    found = compiled(jax.vmap(lambda b, w: match(b, where=w)))(box, where)
    matrices = compiled(jax.vmap(partial(dense, boxes.iou, anchors)))(box, where)
    assert found.indices.shape == (4, 8732)
    for image, s in enumerate(np.asarray(matrices)):
        one = Matches(*[leaf[image] for leaf in found])
        assert_same(one, reference(s, force, negative_threshold=0.4))


# One shape for all small examples, so that they share a compiled program for each `force`.
match = compiled(match_anchors, static_argnames=("force_match", "similarity"))
matrix = compiled(partial(dense, boxes.iou))
ANCHORS, OBJECTS = 24, 17
ALL = np.ones(OBJECTS, bool)


@pytest.mark.parametrize("force", FORCES)
def test_is_the_float64_loop_where_rounding_does_not_decide(force):
    for seed in range(20):
        anchors, box = random_boxes(ANCHORS, seed=seed), random_boxes(OBJECTS, seed=seed + 50)
        expected = reference(iou_reference(anchors, box), force, 0.45, 0.3)
        found = match(
            np.float32(anchors),
            np.float32(box),
            where=ALL,
            positive_threshold=0.45,
            negative_threshold=0.3,
            force_match=force,
        )
        np.testing.assert_allclose(found.overlaps, expected.overlaps, rtol=1e-5)
        assert_same(found._replace(overlaps=0), expected._replace(overlaps=0))


def check(anchors, box, where, force):
    found = match(
        anchors,
        box,
        where=where,
        positive_threshold=0.5,
        negative_threshold=0.4,
        force_match=force,
    )
    s = np.asarray(matrix(anchors, np.where(where[:, None], box, 0), where))
    assert_same(found, reference(s, force, 0.5, 0.4))
    return found


@pytest.mark.parametrize("force", FORCES)
def test_ties_and_crowds(force):
    """Everything on a grid of whole numbers: nearly every decision is a tie or a conflict."""
    for seed in range(40):
        rng = np.random.default_rng(seed)
        corner = rng.integers(0, 4, (2, ANCHORS, 2)) * 2
        sides = rng.integers(1, 3, (2, ANCHORS, 2)) * 2
        grid = np.concatenate([corner, corner + sides], -1).astype(np.float32)
        check(grid[0], grid[1, :OBJECTS], rng.random(OBJECTS) < 0.8, force)


@pytest.mark.parametrize("force", FORCES)
def test_special_images(force):
    anchors = random_boxes(ANCHORS, seed=2).astype(np.float32)
    alike = np.repeat(anchors[:1] + np.float32([1, 0, 2, 0]), OBJECTS, 0)
    check(anchors, alike, ALL, force)
    check(np.repeat(anchors[:3] + np.float32([0, 0, 2, 3]), 8, 0), alike, ALL, force)
    none = check(anchors, np.full((OBJECTS, 4), np.nan, np.float32), ~ALL, force)
    assert np.all(none.negative)
    apart = check(anchors, anchors[:OBJECTS] + 1e4, ALL, force)
    assert not np.any(apart.positive)
    assert np.all(apart.negative)


@pytest.mark.parametrize("force", FORCES)
def test_without_objects_or_anchors(force):
    anchors = random_boxes(5, seed=3).astype(np.float32)
    found = jax.eval_shape(partial(match_anchors, force_match=force), anchors[:0], anchors)
    assert all(leaf.shape == (0,) for leaf in found)
    found = match(anchors, anchors[:0], negative_threshold=0.0, force_match=force)
    assert_same(found, reference(np.zeros((5, 0), np.float32), force))


def test_the_later_object_wins_and_bipartite_gives_each_its_own():
    anchors = np.float32([[0, 0, 4, 2], [3, 0, 7, 2], [20, 0, 24, 2]])
    box = np.float32([[0, 0, 4, 3], [0, 0, 4, 6], [1, 0, 5, 7]])  # all best at the first anchor
    last = match(anchors, box, force_match="last", positive_threshold=0.9)
    assert last.indices.tolist() == [2, 2, 0]
    assert last.positive.tolist() == [True, False, False]
    np.testing.assert_allclose(last.overlaps, [6 / 30, 4 / 32, 0], rtol=1e-6)
    pairs = match(anchors, box, force_match="bipartite", positive_threshold=0.9)
    assert pairs.indices.tolist() == [0, 2, 0]
    assert pairs.positive.tolist() == [True, True, False]


def test_own_keeps_the_best_object_of_every_tied_anchor():
    anchors = np.float32([[0, 0, 2, 2], [4, 0, 6, 2], [10, 0, 11, 1]])
    box = np.float32([[0, 0, 6, 2], [0, 0, 2, 3]])  # the first ties at two anchors
    found = match(anchors, box, force_match="own", positive_threshold=0.9)
    assert found.positive.tolist() == [True, True, False]
    assert found.indices.tolist() == [1, 0, 0]


@pytest.mark.parametrize("force", ["bipartite", "own"])
def test_other_similarities(force):
    def lopsided(a, b):
        return boxes.diou(a, b) - boxes.area(a) / 1e4

    anchors, box = np.float32(random_boxes(50, seed=5)), np.float32(random_boxes(12, seed=6))
    where = np.arange(12) != 4
    found = match(anchors, box, where=where, similarity=lopsided, force_match=force)
    expected = reference(np.asarray(jax.jit(partial(dense, lopsided))(anchors, box, where)), force)
    np.testing.assert_allclose(found.overlaps, expected.overlaps, rtol=1e-6)
    assert_same(found._replace(overlaps=0), expected._replace(overlaps=0))


def test_nan_is_positive_so_that_the_loss_is_nan():
    anchors = random_boxes(4, seed=7).astype(np.float32)
    broken = np.where(np.arange(4)[:, None] == 2, np.nan, anchors).astype(np.float32)
    one = match(broken, anchors)
    assert np.isnan(one.overlaps).tolist() == [False, False, True, False]
    assert one.positive[2]
    assert one.indices[:2].tolist() == [0, 1]
    every = match(anchors, broken)
    assert np.all(np.isnan(every.overlaps) & every.positive & ~every.negative)
    assert np.all(every.indices == 2)


def test_memory_is_a_few_chunks():
    anchors = jax.ShapeDtypeStruct((120_000, 4), np.float32)
    box = jax.ShapeDtypeStruct((500, 4), np.float32)
    compiled = jax.jit(match_anchors).lower(anchors, box).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 20e6


def test_matching_errors():
    anchors = random_boxes(4).astype(np.float32)
    with pytest.raises(ValueError, match=r"`force_match` is 'first', expected one of 'last'"):
        match_anchors(anchors, anchors, force_match="first")
    with pytest.raises(ValueError, match=r"`boxes` has shape \(4, 3\), expected \(any, 4\)"):
        match_anchors(anchors, anchors[:, :3])
    with pytest.raises(ValueError, match=r"`positive_threshold` has shape \(4,\), expected \(\)"):
        match_anchors(anchors, anchors, positive_threshold=anchors[:, 0])


def mined_reference(losses, positive, ratio=3.0, minimum=0, negative=None):
    candidates = ~positive if negative is None else negative & ~positive
    wanted = max(int(np.floor(ratio * positive.sum())), minimum)
    hardest = np.argsort(-np.where(np.isnan(losses), np.inf, losses), kind="stable")
    chosen = [a for a in hardest if candidates[a]][:wanted]
    return np.isin(np.arange(len(losses)), chosen)


@pytest.mark.parametrize("decimals", [0, 1, 7])
def test_mining_is_the_sort(decimals):
    mine = jax.jit(mine_hard_negatives)
    for seed in range(10):
        losses = np.float32(np.round(np.random.default_rng(seed).normal(size=400), decimals))
        positive = uniform(400, seed=seed) < 0.02 * seed
        negative = uniform(400, seed=seed + 20) < 0.7
        for ratio, minimum in ((3.0, 0), (0.5, 3), (2.5, 500)):
            found = mine(losses, positive, negative=negative, ratio=ratio, minimum=minimum)
            expected = mined_reference(losses, positive, ratio, minimum, negative)
            np.testing.assert_array_equal(found, expected)


def test_mining_extremes():
    losses = np.float32([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, 3e38, -3e38, 0.0])
    for count in range(10):
        found = mine_hard_negatives(losses, np.zeros(9, bool), minimum=count)
        order = [4, 2, 6, 5, 0, 1, 8, 7, 3]
        found = set(np.flatnonzero(found).tolist())
        assert found in (set(order[:count]), {*order[: count + 1]} - {5})  # 1e-45 may be taken as 0


def test_without_positives_an_infinite_ratio_takes_the_minimum():
    losses, none = np.float32([1, 2, 3]), np.zeros(3, bool)
    found = mine_hard_negatives(losses, none, ratio=np.inf, minimum=2)
    np.testing.assert_array_equal(found, [False, True, True])
    found = mine_hard_negatives(losses, losses == 2, ratio=np.inf)
    np.testing.assert_array_equal(found, losses != 2)


def test_mining_in_float64():
    with jax.enable_x64(True):
        losses = 1 + 1e-12 * np.arange(6.0)
        found = mine_hard_negatives(losses, np.arange(6) == 5, ratio=2.0)
        assert np.flatnonzero(found).tolist() == [3, 4]
        assert np.all(mined_reference(losses, np.arange(6) == 5, 2.0) == found)


def test_mined_images_and_ratios_map():
    losses, positive = np.float32(uniform(3, 30, seed=1)), uniform(3, 30, seed=2) < 0.2
    ratios = np.float32([0.0, 1.0, 2.5])
    mine = jax.vmap(lambda loss, mask, r: mine_hard_negatives(loss, mask, ratio=r), (0, 0, None))
    found = jax.jit(jax.vmap(mine, (None, None, 0)))(losses, positive, ratios)
    images = list(zip(losses, positive, strict=True))
    expected = [[mined_reference(loss, mask, r) for loss, mask in images] for r in ratios]
    np.testing.assert_array_equal(found, expected)


def test_no_losses_to_mine():
    assert mine_hard_negatives(np.zeros(0, np.float32), np.zeros(0, bool)).shape == (0,)
