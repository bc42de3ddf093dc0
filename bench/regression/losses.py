"""Losses of the family by name, with what some of them ask for."""

from collections.abc import Callable
from functools import partial

from jax import Array

import jaxloss

from .protocols import Protocol
from .published import DIRECTIONS, as_published

Loss = Callable[[Array, Array], Array]
VARIANTS = {
    "alpha_ciou": ("alpha_iou", {"penalty": "ciou"}),
    "powerful_iou_2": ("powerful_iou", {"focus": 1.3}),
}
PUBLISHED = {f"{name}_as_published": partial(as_published, name) for name in DIRECTIONS}


def names() -> list[str]:
    """All box losses of `jaxloss` without state, and some variants of them."""
    found = [
        name.removesuffix("_loss")
        for name, loss in sorted(vars(jaxloss).items())
        if getattr(loss, "__module__", "").startswith("jaxloss.boxes.losses")
        and name.endswith("_loss")
        and not name.startswith("dynamic_")
    ]
    return found + [name for name, (base, _) in VARIANTS.items() if base in found]


def named(name: str, protocol: Protocol) -> Loss:
    """The loss called `name`, where lengths are parameters with those of the simulation."""
    if name in PUBLISHED:
        return PUBLISHED[name]
    lengths = {
        "mpdiou": {"image_size": (protocol.image, protocol.image)},
        "normalized_wasserstein": {"constant": protocol.area**0.5},
    }
    base, settings = VARIANTS.get(name, (name, lengths.get(name, {})))
    return partial(getattr(jaxloss, f"{base}_loss"), **settings)
