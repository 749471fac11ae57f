"""A reader of pickled batches that cannot run anything.

A pickle is a program for a small stack machine; Python's own machine imports and calls what the program names.
The machine here knows the 36 instructions that batches of images are written with and five names, none of which it
imports: an array's parts are collected as plain values, checked, and then read with `numpy.frombuffer`. Any other
instruction or name is refused. `pickletools` only cuts the bytes into instructions.

Memory is bounded by the size of the pickle and by `max_steps`: one instruction pushes at most one value, nothing
is allocated because a number in the file asks for it, no nested value is ever walked, and what is made of text and
bytes, which one value may be again and again, is counted.
"""

from __future__ import annotations

import math
import pickletools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fewepochs.errors import DataError


class _Refused(Exception):  # noqa: N818 - a verdict on the file, turned into a DataError before it leaves
    """What the pickle does that no batch of images does."""


@dataclass(frozen=True)
class _Name:
    """A global that the pickle asks for; it stands for nothing but its own name."""

    dotted: str


class _Bytes8:
    """Stands for `numpy.dtype('u1')`, the only element type of a batch."""


class _Blank:
    """Stands for an array under construction: `array` is None until its content was read and checked."""

    def __init__(self) -> None:
        self.array: npt.NDArray[np.uint8] | None = None


_RECONSTRUCT = ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")
_ENCODE = "_codecs.encode"
_MOST_MADE = 2
"""Of text and bytes at most so many times the pickle's size is made from one another; a batch does it once a value."""
_NAMES = frozenset({*_RECONSTRUCT, "numpy.ndarray", "numpy.dtype", _ENCODE})

_IGNORED = frozenset({"PROTO", "FRAME", "STOP"})
_LITERALS = frozenset(
    {
        "BININT", "BININT1", "BININT2", "BINSTRING", "SHORT_BINSTRING", "BINUNICODE", "SHORT_BINUNICODE", "BINBYTES",
        "SHORT_BINBYTES",
    }
)  # fmt: skip
_CONSTANTS: dict[str, object] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def read(data: bytes, *, max_steps: int, where: str) -> dict[str, object]:
    """Return the dictionary that the pickle `data` describes: str keys; int, str, bytes, list and array values.

    `max_steps` bounds the instructions; `where` names the pickle in messages. Python 2's strings come back as
    str, one character a byte. Arrays are uint8 and read-only. Raises DataError for anything that is no
    such dictionary.
    """
    machine = _Machine(_Maker(_MOST_MADE * len(data)))
    try:
        end = -1
        for step, (opcode, argument, position) in enumerate(pickletools.genops(data)):
            if step >= max_steps:
                raise _Refused(f"has more than {max_steps:,} instructions")
            machine.do(opcode.name, argument)
            end = -1 if position is None else position + 1
        if end != len(data):
            raise _Refused("goes on after its end")
        return machine.result()
    except _Refused as refused:
        raise DataError(f"{where} {refused}; no batch of images does, and it was not read.") from None
    except Exception as error:
        # Cutting hostile bytes into instructions may raise nearly anything; whatever it is, this is no batch.
        detail = f"{type(error).__name__}: {error}"[:200]
        raise DataError(f"{where} is not a pickled batch of images, or is damaged ({detail}).") from None


class _Maker:
    """Makes text of bytes and bytes of text, `most` of both together."""

    def __init__(self, most: int) -> None:
        self._left = most

    def text(self, value: object) -> str:
        """Return the text that `value` is, or that its bytes are, one character a byte."""
        if isinstance(value, bytes):
            self._spend(len(value))
            return value.decode("latin-1")
        if not isinstance(value, str):
            raise _Refused("uses something else than text as a name")
        return value

    def raw(self, value: str | bytes) -> bytes:
        """Return the bytes that `value` is, or that its text is, one byte a character."""
        if isinstance(value, bytes):
            return value
        self._spend(len(value))
        return value.encode("latin-1")

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise _Refused("takes the same text or bytes again and again")


class _Machine:
    """The stack machine: a stack, the positions of its marks, and the memo; text and bytes come from `maker`."""

    def __init__(self, maker: _Maker) -> None:
        self._maker = maker
        self._stack: list[object] = []
        self._marks: list[int] = []
        self._memo: dict[int, object] = {}

    def do(self, name: str, argument: object) -> None:
        """Carry out one instruction."""
        if name in _IGNORED:
            return
        if name in _LITERALS:
            self._stack.append(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _TUPLES:
            self._stack.append(self._tuple(_TUPLES[name]))
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            self._stack.append(self._name(argument))
        else:
            self._work(name, argument)

    def _work(self, name: str, argument: object) -> None:
        match name:
            case "MARK":
                self._marks.append(len(self._stack))
            case "EMPTY_DICT":
                self._stack.append({})
            case "EMPTY_LIST":
                self._stack.append([])
            case "TUPLE":
                self._stack.append(tuple(self._above_mark()))
            case "APPEND":
                self._append(self._take(1))
            case "APPENDS":
                self._append(self._above_mark())
            case "SETITEM":
                self._set(self._take(2))
            case "SETITEMS":
                self._set(self._above_mark())
            case "BINPUT" | "LONG_BINPUT" | "MEMOIZE":
                index = argument if isinstance(argument, int) else len(self._memo)
                self._memo[index] = self._stack[-1]
            case "BINGET" | "LONG_BINGET":
                assert isinstance(argument, int)
                self._stack.append(self._memo[argument])
            case "REDUCE":
                function, arguments = self._take(2)
                self._stack.append(_call(function, arguments, maker=self._maker))
            case "BUILD":
                target, state = self._take(2)
                self._stack.append(_build(target, state, maker=self._maker))
            case _:
                raise _Refused(f"uses the pickle instruction {name}")

    def result(self) -> dict[str, object]:
        """Return what is left on the stack: the one dictionary, arrays in the place of their stand-ins."""
        if len(self._stack) != 1 or not isinstance(self._stack[0], dict):
            raise _Refused("does not hold a dictionary")
        return {key: value.array if isinstance(value, _Blank) else value for key, value in self._stack[0].items()}

    def _take(self, count: int) -> list[object]:
        if len(self._stack) < count:
            raise _Refused("takes values that it never wrote")
        taken = self._stack[-count:]
        del self._stack[-count:]
        return taken

    def _tuple(self, count: int) -> tuple[object, ...]:
        return tuple(self._take(count))

    def _above_mark(self) -> list[object]:
        mark = self._marks.pop()
        taken = self._stack[mark:]
        del self._stack[mark:]
        return taken

    def _append(self, items: list[object]) -> None:
        target = self._stack[-1]
        if not isinstance(target, list):
            raise _Refused("appends to something that is not a list")
        target.extend(items)

    def _set(self, items: list[object]) -> None:
        target = self._stack[-1]
        if not isinstance(target, dict) or len(items) % 2:
            raise _Refused("sets items of something that is not a dictionary")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[self._maker.text(key)] = value

    def _name(self, argument: object) -> _Name:
        parts = self._take(2) if argument is None else self._maker.text(argument).split(" ", 1)
        # Module and name may be compared joined, however they were cut: nothing is ever imported.
        dotted = ".".join(self._maker.text(part) for part in parts)
        if dotted not in _NAMES:
            raise _Refused(f"asks for {dotted[:80]!r}")
        return _Name(dotted)


def _call(function: object, arguments: object, *, maker: _Maker) -> object:
    """Return what the call of a known name stands for."""
    if not isinstance(function, _Name) or not isinstance(arguments, tuple):
        raise _Refused("calls something that is not a function")
    if function.dotted in _RECONSTRUCT and arguments[:1] == (_Name("numpy.ndarray"),):
        return _Blank()
    if function.dotted == "numpy.dtype" and len(arguments) == 3 and _is_one_of(arguments[0], ("u1", "|u1")):
        return _Bytes8()
    if function.dotted == _ENCODE and len(arguments) == 2 and _is_one_of(arguments[1], ("latin1", "latin-1")):
        # How Python 3 writes bytes for a protocol that Python 2 reads.
        return maker.raw(maker.text(arguments[0]))
    raise _Refused(f"calls {function.dotted} in a way that no array of bytes needs")


def _is_one_of(value: object, words: tuple[str, ...]) -> bool:
    return value in words or value in [word.encode() for word in words]


def _build(target: object, state: object, *, maker: _Maker) -> object:
    """Give a stand-in its state; an array's state is (1, shape, element type, Fortran order, bytes)."""
    if isinstance(target, _Bytes8):
        return target  # byte order and alignment mean nothing for single bytes
    if not isinstance(target, _Blank) or not isinstance(state, tuple) or len(state) != 5:
        raise _Refused("gives a state to something that has none")
    _, shape, element, fortran, content = state
    if not isinstance(shape, tuple) or not 1 <= len(shape) <= 4:
        raise _Refused("has an array without a proper shape")
    if not all(type(side) is int and side >= 0 for side in shape):
        raise _Refused("has an array whose shape is not whole numbers")
    if not isinstance(element, _Bytes8) or not isinstance(content, str | bytes):
        raise _Refused("has an array of something else than bytes")
    raw = maker.raw(content)
    if len(raw) != math.prod(shape):
        raise _Refused(f"has an array of shape {shape} with {len(raw):,} bytes")
    target.array = np.frombuffer(raw, dtype=np.uint8).reshape(shape, order="F" if fortran is True else "C")
    return target
