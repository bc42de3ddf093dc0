"""Distributions and embeddings: optax, torch, and textbook forms."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from torch.nn import functional

import jaxloss
from bench.cases.case import Arrays, Case, Makers

ROWS, VECTORS, BATCH = (4096, 1000), (65536, 128), (1024, 128)
TEMPERATURE = 0.1


def distributions(*shape: int, logarithms: bool = False) -> Makers:
    """Two distributions a row, the first as logarithms if asked for."""

    def arrays(random: np.random.Generator) -> Arrays:
        scores = np.exp(random.standard_normal((2, *shape), np.float32))
        p, y = scores / scores.sum(-1, keepdims=True)
        return [np.log(p) if logarithms else p, y]

    return arrays


def one_distribution(random: np.random.Generator) -> Arrays:
    return distributions(*ROWS)(random)[:1]


def vectors(*shape: int, count: int = 2) -> Makers:
    return lambda random: list(random.standard_normal((count, *shape), np.float32))


def labelled(random: np.random.Generator) -> Arrays:
    """Unit vectors, each label eight times."""
    x = random.standard_normal(BATCH, np.float32)
    return [x / np.linalg.norm(x, axis=-1, keepdims=True), np.arange(len(x), dtype=np.int32) // 8]


def unit_pairs(random: np.random.Generator) -> Arrays:
    return [labelled(random)[0], labelled(random)[0]]


def torch_kl(log_p: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return functional.kl_div(log_p, y, reduction="none").sum(-1)


def jnp_jensen_shannon(p: jax.Array, q: jax.Array) -> jax.Array:
    m = 0.5 * (p + q)
    return 0.5 * (p * jnp.log(p / m) + q * jnp.log(q / m)).sum(-1)


def torch_jensen_shannon(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    m = 0.5 * (p + q)
    return 0.5 * (p * torch.log(p / m) + q * torch.log(q / m)).sum(-1)


def our_supervised(x: jax.Array, labels: jax.Array) -> jax.Array:
    return jaxloss.supervised_contrastive_loss(x, labels, temperature=TEMPERATURE)


def jnp_supervised(x: jax.Array, labels: jax.Array) -> jax.Array:
    """The authors' code in JAX."""
    others = 1 - jnp.eye(len(x))
    positive = (labels[:, None] == labels[None]) * others
    logits = jnp.matmul(x, x.T, precision="highest") / TEMPERATURE
    logits = logits - jax.lax.stop_gradient(logits.max(1, keepdims=True))
    logs = logits - jnp.log((jnp.exp(logits) * others).sum(1, keepdims=True))
    return -(positive * logs).sum(1) / positive.sum(1)


def torch_supervised(x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The authors' code."""
    others = 1 - torch.eye(len(x), device=x.device)
    positive = (labels[:, None] == labels[None]) * others
    logits = x @ x.T / TEMPERATURE
    logits = logits - logits.max(1, keepdim=True).values.detach()
    logs = logits - torch.log((torch.exp(logits) * others).sum(1, keepdim=True))
    return -(positive * logs).sum(1) / positive.sum(1)


def our_info_nce(queries: jax.Array, keys: jax.Array) -> jax.Array:
    return jaxloss.info_nce_loss(queries, keys, temperature=TEMPERATURE)


def jnp_info_nce(queries: jax.Array, keys: jax.Array) -> jax.Array:
    logits = jnp.matmul(queries, keys.T, precision="highest") / TEMPERATURE
    return optax.losses.softmax_cross_entropy_with_integer_labels(logits, jnp.arange(len(keys)))


def torch_info_nce(queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    logits = queries @ keys.T / TEMPERATURE
    labels = torch.arange(len(keys), device=keys.device)
    return functional.cross_entropy(logits, labels, reduction="none")


def torch_ntxent(x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """optax's, each pair of a label against all examples of others."""
    x = functional.normalize(x)
    same = labels[:, None] == labels[None]
    positive = same & ~torch.eye(len(x), dtype=torch.bool, device=x.device)
    logits = x @ x.T / 0.07
    negatives = torch.logsumexp(logits.masked_fill(same, -torch.inf), 1, keepdim=True)
    return functional.softplus(negatives - logits)[positive].mean()


def torch_circle(x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    x = functional.normalize(x)
    same = labels[:, None] == labels[None]
    positive = same & ~torch.eye(len(x), dtype=torch.bool, device=x.device)
    s, margin, scale = x @ x.T, 0.25, 80.0
    a_p, a_n = functional.relu(1 + margin - s.detach()), functional.relu(s.detach() + margin)
    near, far = -scale * a_p * (s - (1 - margin)), scale * a_n * (s - margin)
    total = torch.logsumexp(near.masked_fill(~positive, -torch.inf), 1)
    return functional.softplus(total + torch.logsumexp(far.masked_fill(same, -torch.inf), 1))


def torch_triplet(*vectors: torch.Tensor) -> torch.Tensor:
    return functional.triplet_margin_loss(*vectors, reduction="none")


def entr(p: Any) -> Any:
    return (torch.special if isinstance(p, torch.Tensor) else jax.scipy.special).entr(p).sum(-1)


CASES = [
    Case(
        f"KL divergence {ROWS}",
        distributions(*ROWS, logarithms=True),
        jaxloss.kl_divergence,
        {"optax": optax.losses.kl_divergence},
        {"torch": torch_kl},
    ),
    Case(
        f"entropy {ROWS}",
        one_distribution,
        jaxloss.entropy,
        {"jax.scipy": entr},
        {"torch": entr},
    ),
    Case(
        f"Jensen-Shannon divergence {ROWS}",
        distributions(*ROWS),
        jaxloss.jensen_shannon_divergence,
        {"jnp": jnp_jensen_shannon},
        {"torch": torch_jensen_shannon},
    ),
    Case(
        f"cosine similarity {VECTORS}",
        vectors(*VECTORS),
        jaxloss.cosine_similarity,
        {"optax": optax.losses.cosine_similarity},
        {"torch": functional.cosine_similarity},
    ),
    Case(
        f"cosine distance {VECTORS}",
        vectors(*VECTORS),
        jaxloss.cosine_distance,
        {"optax": optax.losses.cosine_distance},
        {"torch": lambda x, y: 1 - functional.cosine_similarity(x, y)},
    ),
    Case(
        f"triplet margin {VECTORS}",
        vectors(*VECTORS, count=3),
        jaxloss.triplet_margin_loss,
        {"optax": optax.losses.triplet_margin_loss},
        {"torch": torch_triplet},
        differentiated=3,
    ),
    Case(
        f"supervised contrastive {BATCH}",
        labelled,
        our_supervised,
        {"jnp": jnp_supervised},
        {"torch": torch_supervised},
        batched=False,
    ),
    Case(
        f"InfoNCE {BATCH}",
        unit_pairs,
        our_info_nce,
        {"optax": jnp_info_nce},
        {"torch": torch_info_nce},
        differentiated=2,
        batched=False,
    ),
    Case(
        f"NT-Xent {BATCH}",
        labelled,
        jaxloss.ntxent,
        {"optax": optax.losses.ntxent},
        {"torch": torch_ntxent},
        batched=False,
    ),
    Case(
        f"circle {BATCH}",
        labelled,
        lambda x, labels: jaxloss.circle_loss(x, labels, scale=80.0),
        {},
        {"torch": torch_circle},
        batched=False,
    ),
]
