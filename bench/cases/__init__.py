"""The cases of `bench.speed`, by task."""

from bench.cases import boxes, detectors, logits
from bench.cases.case import Case

CASES: list[Case] = [*logits.CASES, *boxes.CASES, *detectors.CASES]
