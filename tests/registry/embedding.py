"""Rows of `jaxloss.embedding`."""

from functools import partial

import numpy as np

from tests.registry._row import Arrays, Kind, Row, integers, normal

EDGES = [0.0, 1e-30, 1e-18, 1e-7, 0.1, 1.0, 3.0, 1e4, 1e18, 1e30]
VALUES = np.array([*EDGES, *(-edge for edge in EDGES)])
SCALES = {"scale": (1.0, 4.0, 64.0)}
ONE_NUMBER = "one number in which all examples are compared: masked in tests/test_embedding.py"


def vectors(seed: int, size: int = 3) -> np.ndarray:
    """Vectors of edges, far beyond and far below 1, and nearly the same ones, in turn."""
    rng = np.random.default_rng(seed)
    wild = rng.choice(VALUES, (200, size))
    tame = np.repeat(rng.standard_normal((100, size)), 2, 0)
    tame[1::2] += 1e-7 * rng.standard_normal((100, size))
    return np.concatenate([wild, tame, np.zeros((2, size)), np.eye(size), -np.eye(size)])


def pair_zoo() -> Arrays:
    a, b = vectors(1), vectors(2)
    a, b = np.concatenate([a, a, a]), np.concatenate([b, a, -a])
    return {"a": a, "b": b, "same": np.arange(len(a)) % 2 == 0}


def triplet_zoo() -> Arrays:
    a, b = vectors(1), vectors(2)
    return {
        "anchors": np.concatenate([a, a, a, a]),
        "positives": np.concatenate([b, a, b, a]),
        "negatives": np.concatenate([b[::-1], b, a, a]),
    }


def batch_zoo(largest: float = 1e30) -> Arrays:
    """Batches of five of three labels, alone or with others, of vectors up to `largest`."""
    x = vectors(3)
    x = x[(np.abs(x) <= largest).all(1)]
    x = x[: len(x) // 5 * 5].reshape(-1, 5, 3)
    labels = np.array([[0, 0, 1, 1, 2], [3, 3, 3, 3, 3], [0, 1, 2, 3, 4], [-1, 7, 7, 7, -1]])
    return {"embeddings": x, "labels": np.resize(labels, x.shape[:2]).astype(np.int32)}


def query_zoo() -> Arrays:
    x = batch_zoo(1e4)["embeddings"]
    return {"queries": x, "keys": np.roll(x, 1, 2)}


def prototype_zoo() -> Arrays:
    """Every vector against columns that fit float16, of zeros among them."""
    x, tame = vectors(4), vectors(5)
    tame = tame[(np.abs(tame) < 1e5).all(1)]
    return {
        "embeddings": x,
        "labels": (np.arange(len(x)) % 5).astype(np.int32),
        "kernel": tame[[0, 1, 2, -4, -9]].T,
    }


batch = partial(
    Row,
    kind=Kind.COMPOSITE,
    arrays={
        "embeddings": normal(8, 6, 3, seed=1),
        "labels": integers(8, 6, high=3, seed=2),
        "where": normal(8, 6, seed=3) > -1,
    },
    result=(8, 6),
    differentiable=("embeddings",),
    padded=("embeddings", "labels"),
    zoo=batch_zoo,
)
prototype = partial(
    Row,
    kind=Kind.CLASS,
    arrays={
        "embeddings": normal(8, 3, seed=1),
        "kernel": normal(3, 5, seed=2),
        "labels": integers(8, high=5, seed=3),
    },
    result=(8, 5),
    settings=({"scale": 4.0}, {}, {"scale": 1.0, "margin": 1.2}, {"ignore_label": 2}),
    differentiable=("embeddings",),
    shared=frozenset({"kernel"}),
    any_shape=frozenset({"kernel"}),
    zoo=prototype_zoo,
)

ROWS = [
    Row(
        name="contrastive_loss",
        kind=Kind.CLASS,
        arrays={
            "a": 0.4 * normal(8, 3, seed=1),
            "b": 0.4 * normal(8, 1, seed=2),  # or a and b would move together
            "same": np.arange(8) % 3 == 0,
        },
        result=(8,),
        settings=({}, {"margin": 1.7}),
        hyperparameters={"margin": (0.5, 1.0, 1.7)},
        differentiable=("a", "b"),
        zoo=pair_zoo,
    ),
    Row(
        name="triplet_margin_loss",
        kind=Kind.CLASS,
        arrays={
            "anchors": normal(8, 3, seed=1),
            "positives": normal(8, 3, seed=2),
            "negatives": normal(8, 1, seed=3),  # or all three would move together
        },
        result=(8,),
        settings=({}, {"margin": 2.5, "eps": 0.0}),
        hyperparameters={
            "margin": (0.5, 1.0, 1.7),
            "norm_degree": (1.0, 2.0, 3.5),
            "eps": (1e-6, 1e-3, 0.3),
        },
        differentiable=("anchors", "positives", "negatives"),
        zoo=triplet_zoo,
    ),
    batch(
        name="supervised_contrastive_loss",
        settings=({"temperature": 0.5}, {"temperature": 0.07}),
        hyperparameters={"temperature": (0.07, 0.5, 2.0)},
        zoo=partial(batch_zoo, 1e4),
    ),
    Row(
        name="info_nce_loss",
        kind=Kind.COMPOSITE,
        arrays={
            "queries": normal(8, 6, 3, seed=1),
            "keys": normal(8, 6, 3, seed=2),
            "where": normal(8, 6, seed=3) > -1,
        },
        result=(8, 6),
        settings=({"temperature": 0.5}, {"temperature": 0.07}),
        hyperparameters={"temperature": (0.07, 0.5, 2.0)},
        differentiable=("queries", "keys"),
        padded=("queries", "keys"),
        zoo=query_zoo,
    ),
    batch(
        name="circle_loss",
        settings=({"scale": 2.0}, {"margin": 0.4, "scale": 80.0}, {}),
        hyperparameters={"margin": (0.1, 0.25, 0.4), "scale": (1.0, 2.0, 8.0)},
        exempt={
            "gradient": "the weights are held constant under differentiation, as in the paper: "
            "tests/test_embedding.py differentiates the formula with its weights fixed"
        },
    ),
    Row(
        name="ntxent",
        kind=Kind.COMPOSITE,
        arrays={
            "embeddings": normal(8, 3, seed=1),
            "labels": np.array([0, 0, 1, 2, 1, 1, 2, 3], np.int32),
        },
        result=(),
        # optax's fails under strict promotion: tests/test_embedding.py compares the numbers.
        settings=({"where": None}, {"temperature": 0.5, "where": None}),
        hyperparameters={"temperature": (0.07, 0.5, 2.0)},
        differentiable=("embeddings",),
        zoo=lambda: {"embeddings": vectors(3), "labels": np.arange(408, dtype=np.int32) % 50},
        exempt={
            "where": ONE_NUMBER,
            "all_masked": ONE_NUMBER,
            "mesh": "every example is compared with every other, so that a split batch is "
            "gathered: tests/test_embedding.py splits one",
        },
    ),
    Row(
        name="center_loss",
        kind=Kind.CLASS,
        arrays={
            "embeddings": normal(8, 3, seed=1),
            "labels": integers(8, high=5, seed=2),
            "centers": normal(5, 3, seed=3),
        },
        result=(8,),
        differentiable=("embeddings",),
        shared=frozenset({"centers"}),
        any_shape=frozenset({"centers"}),
        zoo=lambda: {
            "embeddings": vectors(4),
            "labels": (np.arange(len(vectors(4))) % 5).astype(np.int32),
            "centers": vectors(5)[200:205],
        },
    ),
    Row(
        name="update_centers",
        kind=Kind.SELECTION,
        arrays={
            "centers": normal(8, 5, 3, seed=1),
            "embeddings": normal(8, 6, 3, seed=2),
            "labels": integers(8, 6, high=5, seed=3),
            "where": normal(8, 6, seed=4) > -1,
        },
        result=(8, 5, 3),
        differentiable=("centers", "embeddings"),
        hyperparameters={"rate": (0.1, 0.5, 1.0)},
        padded=("embeddings", "labels"),
        per_image=True,
        any_shape=frozenset({"centers"}),
    ),
    prototype(name="arcface_logits", hyperparameters={"margin": (0.0, 0.5, 1.2), **SCALES}),
    prototype(name="cosface_logits", hyperparameters={"margin": (0.0, 0.35, 0.7), **SCALES}),
]
