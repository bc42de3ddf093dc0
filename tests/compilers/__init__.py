"""Figures of the compiled losses that must not grow: no times, but counts, which repeat exactly.

`python -m tests.compilers` prints `limits.py` anew, for a change that earns other figures.
"""
