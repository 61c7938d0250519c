"""Plain arithmetic of one argument, read from the bytecode of a saved lambda without running it."""

import base64
import binascii
import operator
import struct
from collections.abc import Iterator

import keras

OPERATORS = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "**": operator.pow,
}
LOAD_FAST, LOAD_CONST, RETURN_VALUE, UNARY_NEGATIVE, RESUME, BINARY_OP = 124, 100, 83, 11, 151, 122
CACHE, HAS_ARGUMENT = 0, 90
BEFORE_3_11 = {19: "**", 20: "*", 21: "/", 23: "+", 24: "-", 27: "/"}
SINCE_3_11 = {0: "+", 5: "*", 8: "**", 10: "-", 11: "/"}
"""Opcodes of arithmetic in CPython 2.7 to 3.10, and arguments of BINARY_OP in 3.11 and 3.12."""

Program = list[float | str]


def arithmetic(function) -> Program | None:
    """Read a saved lambda as plain arithmetic.

    Args:
        function: as a `Lambda` layer's configuration holds it: [code, defaults, closure], or the
            dictionary of that; the code is marshalled, as it is or in base 64.

    Returns:
        The program in reverse Polish notation, "x" for the argument: `x / 127.5 - 1` is
        ["x", 127.5, "/", 1.0, "-"]. None where the lambda is anything else.
    """
    if isinstance(function, dict):
        inside = function.get("config", {})
        function = (
            [inside.get(key) for key in ("code", "defaults", "closure")]
            if (isinstance(inside, dict))
            else None
        )
    if not isinstance(function, list) or not isinstance(function[0], str) or any(function[1:]):
        return None
    for decode in (_from_base_64, lambda text: text.encode("latin1")):
        try:
            code, constants = _Reader(decode(function[0])).code()
        except (binascii.Error, IndexError, KeyError, UnicodeError, ValueError, struct.error):
            continue
        for steps in (_in_words(code), _in_bytes(code)):
            program = _program(list(steps), constants)
            if program is not None:
                return program
    return None


@keras.saving.register_keras_serializable("happymaps")
class Arithmetic(keras.layers.Layer):
    """Plain arithmetic of its input, as a program of `arithmetic`."""

    def __init__(self, program: Program, **options):
        """Keep the program."""
        super().__init__(**options)
        self.program = tuple(program)

    def call(self, x):
        """Run the program."""
        stack = []
        for step in self.program:
            if step == "x":
                stack.append(x)
            elif isinstance(step, str):
                right, left = stack.pop(), stack.pop()
                stack.append(OPERATORS[step](left, right))
            else:
                stack.append(step)
        return stack.pop()

    def get_config(self):
        """With the program."""
        return super().get_config() | {"program": list(self.program)}


def _from_base_64(text: str) -> bytes:
    return base64.b64decode("".join(text.split()), validate=True)


def _in_words(code: bytes) -> Iterator[tuple[int, int]]:
    """(opcode, argument) of CPython 3.6 and later."""
    yield from zip(code[::2], code[1::2], strict=False)


def _in_bytes(code: bytes) -> Iterator[tuple[int, int]]:
    """(opcode, argument) of CPython up to 3.5."""
    i = 0
    while i < len(code):
        wide = code[i] >= HAS_ARGUMENT
        yield code[i], int.from_bytes(code[i + 1 : i + 3], "little") if wide else 0
        i += 3 if wide else 1


def _program(steps: list[tuple[int, int]], constants: tuple) -> Program | None:
    program, depth = [], 0
    for opcode, argument in steps:
        if opcode in (CACHE, RESUME):
            continue
        if opcode == RETURN_VALUE:
            return program if depth == 1 and "x" in program else None
        if opcode == LOAD_FAST and argument == 0:
            program.append("x")
            depth += 1
        elif opcode == LOAD_CONST and argument < len(constants):
            if not isinstance(constants[argument], int | float):
                return None
            program.append(float(constants[argument]))
            depth += 1
        else:
            sign = SINCE_3_11.get(argument) if opcode == BINARY_OP else BEFORE_3_11.get(opcode)
            if opcode == UNARY_NEGATIVE and depth >= 1:
                program += [-1.0, "*"]
            elif sign is None or depth < 2:
                return None
            else:
                program.append(sign)
                depth -= 1
    return None


class _Reader:
    """Reads what `marshal` wrote, of any version, as far as a code's instructions and constants."""

    def __init__(self, data: bytes):
        self.data, self.at, self.seen = data, 0, []

    def code(self) -> tuple[bytes, tuple]:
        """Instructions and constants of the code object that the data starts with."""
        if self._take(1)[0] & 0x7F != ord("c"):
            raise ValueError("no code")
        self.seen.append(None)
        numbers = 0
        while self.data[self.at] & 0x7F != ord("s"):  # 4 to 6 counts and flags, by version
            self._take(4)
            numbers += 1
            if numbers > 6:
                raise ValueError("no code")
        return self._object(), self._object()

    def _take(self, count: int) -> bytes:
        part = self.data[self.at : self.at + count]
        if len(part) < count:
            raise IndexError("end of data")
        self.at += count
        return part

    def _long(self) -> int:
        return int.from_bytes(self._take(4), "little", signed=True)

    def _object(self):
        kind = self._take(1)[0]
        place = len(self.seen)
        if kind & 0x80:
            self.seen.append(None)
        value = self._value(chr(kind & 0x7F))
        if kind & 0x80:
            self.seen[place] = value
        return value

    def _value(self, kind: str):
        match kind:
            case "N" | "." | "T" | "F":
                return {"N": None, ".": ..., "T": "True", "F": "False"}[kind]
            case "i":
                return self._long()
            case "g":
                return struct.unpack("<d", self._take(8))[0]
            case "f":
                return float(self._take(self._take(1)[0]))
            case "s" | "u" | "t" | "a" | "A":
                return self._take(self._long())
            case "z" | "Z":
                return self._take(self._take(1)[0])
            case "(":
                return tuple(self._object() for _ in range(self._long()))
            case ")":
                return tuple(self._object() for _ in range(self._take(1)[0]))
            case "r":
                return self.seen[self._long()]
        raise ValueError(f"no constant: {kind}")
