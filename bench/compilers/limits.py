"""What the compiled losses may cost, by kind and chip.

Traffic is over the least possible, temporary memory over the inputs. A loss that sums before it
knows its gradient reads its input twice. XLA for GPUs writes four columns of a box's gradient
before it interleaves them, which is 1.67, and writes the losses beside them before it sums those:
1.83. It could save that for a million boxes, but for some other numbers would take 5.5.
"""

import math
from typing import NamedTuple

from tests.registry import Kind


class Limit(NamedTuple):
    traffic: float
    temporary: float


LIMITS = {
    "v5e": {
        Kind.ELEMENTWISE: Limit(1.05, 0.01),
        Kind.BOX: Limit(1.05, 0.01),
        Kind.REGION: Limit(1.75, 0.01),
        Kind.CLASS: Limit(1.55, 0.05),
    },
    "H100": {
        Kind.ELEMENTWISE: Limit(1.05, 0.01),
        Kind.BOX: Limit(1.84, 0.75),
        Kind.REGION: Limit(2.1, 0.01),
        Kind.CLASS: Limit(1.55, 0.05),
    },
}
LIMITS["v6e"] = LIMITS["v5e"]


def over(kind: Kind, chip: str, traffic: float, temporary: float) -> tuple[bool, bool]:
    """Whether each is over its limit; what has no limit never is."""
    limit = LIMITS[chip].get(kind, Limit(math.inf, math.inf))
    return round(traffic, 2) > limit.traffic, temporary > limit.temporary
