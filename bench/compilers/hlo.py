"""Reads compiled programs: their kernels, their memory traffic, their collectives."""

import collections
import math
import re
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

BYTES = {
    **dict.fromkeys(("pred", "s8", "u8"), 1),
    **dict.fromkeys(("s16", "u16", "bf16", "f16"), 2),
    **dict.fromkeys(("s32", "u32", "f32"), 4),
    **dict.fromkeys(("s64", "u64", "f64"), 8),
}
# These move nothing.
FREE = {
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast"),
    *("partition-id", "replica-id", "after-all"),
}
ALLOCATED = 'custom_call_target="AllocateBuffer"'
SLICES = {"slice", "dynamic-slice", "gather"}
COLLECTIVES = {
    *("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "ragged-all-to-all"),
    *("collective-permute", "collective-broadcast"),
}
COMPUTATION = re.compile(r"(ENTRY )?%?([\w.\-]+) (?:\(.*\) -> .*)?\{")
INSTRUCTION = re.compile(r"\s+(ROOT )?%?([\w.\-]+) = (.*?[\]})]) ([a-z][a-z0-9\-]*)\((.*)")
SHAPE = re.compile(r"\b(pred|bf16|[suf]\d+)\[([\d,]*)\](?:\{([^}]*)\})?")
CALLED = re.compile(
    r"(?:calls|body|condition|to_apply|true_computation|false_computation)=%?([\w.\-]+)"
)


class Instruction(NamedTuple):
    name: str
    type: str
    opcode: str
    operands: tuple[str, ...]
    attributes: str
    is_root: bool

    @property
    def called(self) -> list[str]:
        branches = re.search(r"branch_computations=\{([^}]*)\}", self.attributes)
        listed = re.findall(r"[\w.\-]+", branches[1]) if branches else []
        return CALLED.findall(self.attributes) + listed

    @property
    def iterations(self) -> int | None:
        """How many tiles a TPU's kernel goes through."""
        bounds = re.search(r'iteration_bounds":\[([^\]]*)\]', self.attributes)
        return math.prod(int(n) for n in re.findall(r"\d+", bounds[1])) if bounds else None


class Program:
    """The text of a compiled program, as instructions by computation."""

    def __init__(self, text: str):
        self.computations: dict[str, dict[str, Instruction]] = {}
        self.entry = ""
        instructions: dict[str, Instruction] = {}
        for line in text.splitlines():
            if started := COMPUTATION.match(line):
                instructions = self.computations.setdefault(started[2], {})
                self.entry = started[2] if started[1] else self.entry
            elif found := INSTRUCTION.match(line):
                instructions[found[2]] = _instruction(found)

    @cached_property
    def kernels(self) -> int:
        """How many kernels start, of a loop once; copies between memories are none."""
        return sum(
            instruction.opcode in COLLECTIVES
            or not re.search(
                r"^copy|-(start|done)$|^while$|^conditional$|^call$", instruction.opcode
            )
            for instruction in self.started()
        )

    @cached_property
    def collectives(self) -> dict[str, int]:
        names = (i.opcode.removesuffix("-start") for i in self.started())
        return dict(collections.Counter(name for name in names if name in COLLECTIVES))

    @cached_property
    def traffic(self) -> int:
        """Bytes that kernels read from and write to the chip's main memory."""
        return self._traffic(self.entry)

    def started(self, computation: str = "") -> Iterator[Instruction]:
        """What the entry starts, and the bodies of its loops, but not the insides of kernels."""
        for instruction in self.computations[computation or self.entry].values():
            if instruction.opcode not in FREE:
                yield instruction
            if instruction.opcode in ("while", "conditional", "call"):
                for name in instruction.called:
                    yield from self.started(name)

    def repetitions(self, computation: str = "", times: int = 1) -> dict[str, int]:
        """How often what is started runs, by name."""
        found = {}
        for instruction in self.computations[computation or self.entry].values():
            found[instruction.name] = times
            if instruction.opcode in ("while", "conditional", "call"):
                for name in instruction.called:
                    found |= self.repetitions(name, times * self._trips(instruction))
        return found

    def _traffic(self, computation: str) -> int:
        instructions = self.computations[computation]
        return sum(self._moved(i, instructions) for i in instructions.values())

    def _moved(self, instruction: Instruction, among: dict[str, Instruction]) -> int:
        opcode = instruction.opcode
        if opcode in FREE or ALLOCATED in instruction.attributes:
            return 0
        if opcode in ("while", "call"):
            return self._trips(instruction) * sum(map(self._traffic, instruction.called))
        if opcode == "conditional":
            return max(map(self._traffic, instruction.called))
        written = 0 if opcode.endswith("-start") else self._written(instruction, among)
        if opcode.endswith("-done"):
            return written
        return written + sum(
            self._read(instruction, place, among[name])
            for place, name in enumerate(instruction.operands)
            if name in among and name not in instruction.operands[:place]
        )

    def _trips(self, loop: Instruction) -> int:
        """How often a loop runs; 1 where the text does not say.

        A TPU's compiler writes no count, but the number that the condition compares with.
        """
        known = re.search(r'known_trip_count":\{"n":"(\d+)"', loop.attributes)
        condition = re.search(r"condition=%?([\w.\-]+)", loop.attributes)
        if known or not condition:
            return int(known[1]) if known else 1
        compared = self.computations[condition[1]].values()
        numbers = [i.attributes.split(")")[0] for i in compared if i.opcode == "constant"]
        return int(numbers[0]) if len(numbers) == 1 and numbers[0].isdecimal() else 1

    def _written(self, instruction: Instruction, among: dict[str, Instruction]) -> int:
        """The result; of an update in place, the update."""
        update = instruction
        if instruction.opcode == "fusion":
            among = self.computations[instruction.called[0]]
            update = next(i for i in among.values() if i.is_root)
        if update.opcode == "dynamic-update-slice" and in_main_memory(instruction.type):
            return size(among[update.operands[1]].type)
        return main_memory(instruction.type)

    def _read(self, instruction: Instruction, place: int, operand: Instruction) -> int:
        """What is read of an operand: all of it, or the slices that are taken."""
        whole = main_memory(operand.type)
        if instruction.opcode == "slice-start":
            # Its result: (operand, slice, context).
            return min(whole, size(instruction.type) - size(operand.type))
        if instruction.opcode == "fusion":
            inner = self.computations[instruction.called[0]]
            parameter = next(
                i
                for i in inner.values()
                if i.opcode == "parameter" and i.attributes.startswith(f"{place})")
            )
            return min(whole, _used(parameter, inner))
        return min(whole, _use(instruction, place, operand))


def _instruction(found: re.Match[str]) -> Instruction:
    rest, depth, end = found[5], 1, 0
    while depth and end < len(rest):
        depth += {"(": 1, ")": -1}.get(rest[end], 0)
        end += 1
    operands = tuple(re.findall(r"%([\w.\-]+)", rest[:end]))
    attributes = rest if found[4] in ("parameter", "constant") else rest[end:]
    return Instruction(found[2], found[3], found[4], operands, attributes, bool(found[1]))


def _used(value: Instruction, among: dict[str, Instruction]) -> int:
    """Bytes of `value` that the instructions after it use."""
    return sum(
        _used(user, among) if user.opcode == "bitcast" else _use(user, place, value)
        for user in among.values()
        for place, name in enumerate(user.operands)
        if name == value.name
    )


def _use(user: Instruction, place: int, value: Instruction) -> int:
    if place == 0 and user.opcode == "dynamic-update-slice":
        return 0
    if place == 0 and user.opcode in SLICES and not _is_strided(user, value):
        return size(user.type)
    return size(value.type)


def _is_strided(user: Instruction, value: Instruction) -> bool:
    """True if what is taken alternates in memory with what is not."""
    if user.opcode == "gather":
        return False
    (_, whole, layout), (_, part, _) = (SHAPE.search(i.type).groups() for i in (value, user))
    if not whole or not layout:
        return False
    lanes = int(layout.split(":")[0].split(",")[0])
    return whole.split(",")[lanes] != part.split(",")[lanes]


def size(types: str) -> int:
    """Bytes of a type, with the padding of its tiles."""
    return sum(
        math.prod(_padded(dims, layout)) * BYTES[kind] for kind, dims, layout in _shapes(types)
    )


def main_memory(types: str) -> int:
    """Bytes of a type in the chip's main memory, and none of those in a faster one."""
    return sum(
        math.prod(_padded(dims, layout)) * BYTES[kind]
        for kind, dims, layout in _shapes(types)
        if in_main_memory(layout)
    )


def in_main_memory(layout: str) -> bool:
    return not re.search(r"S\([1-9]", layout)


def _shapes(types: str) -> list[tuple[str, str, str]]:
    return SHAPE.findall(types)


def _padded(dims: str, layout: str) -> list[int]:
    padded = [int(n) for n in dims.split(",") if n]
    order = [int(n) for n in re.match(r"[\d,]*", layout)[0].split(",") if n]
    tile = re.search(r"T\(([\d,]+)\)", layout)
    sides = [int(n) for n in tile[1].split(",")] if tile else []
    for axis, side in zip(order, reversed(sides), strict=False):
        padded[axis] = -(-padded[axis] // side) * side
    return padded
