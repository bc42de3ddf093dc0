"""Counts the exponentials, logarithms and other costly functions that a program asks for."""

import collections
from collections.abc import Callable, Hashable, Iterator
from typing import Any, NamedTuple

import jax
from jax.extend.core import Literal

COSTLY = {
    *("exp", "exp2", "expm1", "log", "log1p", "pow", "sqrt", "rsqrt", "cbrt", "logistic"),
    *("sin", "cos", "tan", "asin", "acos", "atan", "atan2"),
    *("sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf", "erfc", "erf_inv"),
    *("lgamma", "digamma"),
}


class Node(NamedTuple):
    """What an operation makes, by what it is made of: equal nodes are computed once."""

    operation: Hashable
    operands: tuple[int, ...]


def transcendentals(step: Callable[..., Any], *arrays: Any, platform: str) -> dict[str, int]:
    """How many of each are computed for every element, where `platform` has a choice.

    Counted are those that the results need, once each, and only if as many elements as the first
    leaf of `arrays` has rows: what is done to hyperparameters costs nothing.
    """
    program = jax.make_jaxpr(step)(*arrays)
    leaf = jax.tree.leaves(arrays)[0]
    return Counter(platform, leaf.size // leaf.shape[-1]).count(program)


class Counter:
    def __init__(self, platform: str, least: int):
        self.platform = platform
        self.least = least
        self.nodes: dict[Node, int] = {}
        self.costly: dict[int, str] = {}

    def count(self, program: Any) -> dict[str, int]:
        inputs = [self.number(Node(("input", place), ())) for place in range(len(program.in_avals))]
        needed = self.needed(self.run(program, inputs))
        return dict(collections.Counter(self.costly[n] for n in needed if n in self.costly))

    def number(self, node: Node) -> int:
        return self.nodes.setdefault(node, len(self.nodes))

    def needed(self, results: list[int]) -> set[int]:
        """All that `results` are made of."""
        operands = {number: node.operands for node, number in self.nodes.items()}
        found: set[int] = set()
        todo = list(results)
        while todo:
            number = todo.pop()
            if number not in found:
                found.add(number)
                todo += operands[number]
        return found

    def run(self, program: Any, inputs: list[int]) -> list[int]:
        """Numbers of the results of a closed jaxpr."""
        jaxpr = program.jaxpr
        constants = [self.number(Node(("constant", id(c)), ())) for c in program.consts]
        known = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*constants, *inputs], strict=True))

        def read(atom: Any) -> int:
            if isinstance(atom, Literal):
                return self.number(Node(("literal", str(atom.val), str(atom.aval)), ()))
            return known[atom]

        for equation in jaxpr.eqns:
            results = self.apply(equation, [read(atom) for atom in equation.invars])
            known.update(zip(equation.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def apply(self, equation: Any, operands: list[int]) -> Iterator[int] | list[int]:
        name, parameters = equation.primitive.name, equation.params
        if name in ("while", "scan"):
            raise ValueError(f"a loss with a `{name}` has no fixed count: not for `counted`")
        if name == "cond":
            index, *operands = operands
            return self.branches(parameters, index, operands)
        for inner in ("jaxpr", "call_jaxpr"):
            if hasattr(parameters.get(inner), "consts"):
                return self.run(parameters[inner], operands)
        return self.primitive(equation, operands)

    def branches(self, parameters: Any, index: int, operands: list[int]) -> Iterator[int]:
        """Of a choice between platforms, ours; of any other, all."""
        branches = parameters["branches"]
        platforms = parameters.get("branches_platforms")
        if platforms is not None:
            ours = [of is None or self.platform in of for of in platforms].index(True)
            return iter(self.run(branches[ours], operands))
        results = zip(*(self.run(branch, operands) for branch in branches), strict=True)
        return (self.number(Node("choice", (index, *result))) for result in results)

    def primitive(self, equation: Any, operands: list[int]) -> Iterator[int]:
        name = equation.primitive.name
        parameters = str(sorted(equation.params.items(), key=lambda item: item[0]))
        for place, variable in enumerate(equation.outvars):
            number = self.number(Node((name, parameters, place), tuple(operands)))
            if name in COSTLY and variable.aval.size >= self.least:
                self.costly[number] = name
            yield number
