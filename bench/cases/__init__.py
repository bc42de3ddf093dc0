"""The cases of `bench.speed`, by task."""

from bench.cases import boxes, detectors, logits, regions, vectors
from bench.cases.case import Case

CASES: list[Case] = [
    *logits.CASES,
    *regions.CASES,
    *vectors.CASES,
    *boxes.CASES,
    *detectors.CASES,
]
