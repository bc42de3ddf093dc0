"""Rows of `jaxloss.classification.quality`, and of the asymmetric loss of yes and no."""

from functools import partial

import numpy as np

from tests.registry._row import Arrays, Kind, Row, normal, uniform
from tests.registry.classification import LOGITS, binary, class_zoo

EXPONENTS = (0.0, 0.5, 1.0, 1.5, 0.7, 3.3)


def quality_zoo() -> Arrays:
    logits, targets = np.meshgrid(LOGITS, [0.0, 1.0, 0.5, 0.3, 1e-12, 1 - 2.0**-24])
    return {"logits": logits.ravel(), "targets": targets.ravel()}


def bin_zoo() -> Arrays:
    logits = class_zoo()
    return {"logits": logits, "targets": np.resize([0.0, 1.0, 3.0, 0.3, 2.9, 1e-30], len(logits))}


dense = partial(
    Row,
    kind=Kind.ELEMENTWISE,
    arrays={
        "logits": normal(8, 5, seed=1, scale=3),
        "targets": np.where(normal(8, 5, seed=3) > 0, uniform(8, 5, seed=2), 0.0),
    },
    result=(8, 5),
    differentiable=("logits", "targets"),
    zoo=quality_zoo,
)
# The law's finite differences would step over the jumps of a target at 0 and at 1.
jumping = partial(
    dense,
    arrays={"logits": normal(8, 5, seed=1, scale=3), "targets": uniform(8, 5, seed=2, low=0.01)},
)

ROWS = [
    dense(
        name="quality_focal_loss",
        settings=({}, *({"beta": beta} for beta in EXPONENTS)),
        hyperparameters={"beta": (0.0, 0.7, 2.0)},
    ),
    jumping(
        name="varifocal_loss",
        settings=({}, *({"gamma": gamma, "alpha": 0.3} for gamma in EXPONENTS)),
        hyperparameters={"alpha": (0.1, 0.75, 0.9), "gamma": (0.0, 0.7, 2.0)},
    ),
    jumping(
        name="gaussian_focal_loss",
        settings=({}, *({"alpha": alpha, "gamma": alpha / 2} for alpha in EXPONENTS)),
        hyperparameters={"alpha": (0.0, 0.7, 2.0), "gamma": (0.0, 1.7, 4.0)},
    ),
    binary(
        name="asymmetric_loss",
        settings=(
            {},
            {"margin": 0.0},
            *(
                {"positive_gamma": gamma, "negative_gamma": gamma / 2, "margin": margin}
                for gamma, margin in zip(EXPONENTS, [0.0, 0.3, 0.0, 0.2, 0.0, 0.1], strict=True)
            ),
        ),
        hyperparameters={
            "positive_gamma": (0.0, 0.7, 2.0),
            "negative_gamma": (0.0, 0.7, 4.0),
            "margin": (0.0, 0.05, 0.3),
        },
    ),
    Row(
        name="distribution_focal_loss",
        kind=Kind.CLASS,
        arrays={"logits": normal(8, 4, seed=3, scale=3), "targets": uniform(8, seed=4, high=3.0)},
        result=(8,),
        differentiable=("logits", "targets"),
        settings=({}, {"temperature": 0.3}),
        hyperparameters={"temperature": (0.5, 1.0, 3.0)},
        class_axis={"logits": 1},
        zoo=bin_zoo,
    ),
]
