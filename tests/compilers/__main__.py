"""Prints `limits.py` with the figures of today."""

import bench.compilers as bench  # the environment, before JAX starts
from tests.compilers.figures import compiled, counted, per_element, temporary


def main() -> None:
    assert bench
    print('"""Largest figures; `python -m tests.compilers` prints this file."""')
    print("\n# Exponentials, logarithms and the like per element, or per pair of boxes.")
    print("TRANSCENDENTALS = {")
    for case in counted():
        print(f'    "{case.name}": {per_element(case)},', flush=True)
    print("}")
    print("\n# Temporary memory of a CPU over the inputs.")
    print("TEMPORARY = {")
    for case in compiled():
        print(f'    "{case.name}": {temporary(case):.2f},', flush=True)
    print("}")


if __name__ == "__main__":
    main()
