"""Pickled batches: genuine ones are read, and no pickle can run, allocate or raise anything but a DataError."""

from __future__ import annotations

import contextlib
import os
import pickle
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import cifar_files
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewepochs.data import batches, pickles
from fewepochs.errors import DataError

PIXELS = np.arange(12, dtype=np.uint8).reshape(3, 4)
SMALL = {b"data": PIXELS, b"labels": [1, 2, 300], b"filenames": [b"a.png", b"b.png", b"c.png"]}
GENUINE = [cifar_files.dumps(SMALL), *(cifar_files.dumps(SMALL, protocol) for protocol in (2, 3, 4))]
STEPS = 1000


def read(data: bytes) -> dict[str, object]:
    return pickles.read(data, max_steps=STEPS, where="the batch")


@pytest.mark.parametrize("data", GENUINE, ids=["python 2", "protocol 2", "protocol 3", "protocol 4"])
def test_genuine_batches_are_read(data: bytes) -> None:
    found = read(data)
    assert sorted(found) == ["data", "filenames", "labels"]
    np.testing.assert_array_equal(found["data"], PIXELS)
    assert found["labels"] == [1, 2, 300]


@pytest.mark.parametrize("old", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_both_of_numpys_names_for_its_core_are_known(old: bytes) -> None:
    data = cifar_files.dumps(SMALL)
    for name in (b"numpy.core.multiarray", b"numpy._core.multiarray"):
        data = data.replace(name, old)
    np.testing.assert_array_equal(read(data)["data"], PIXELS)


def test_fortran_order_is_understood() -> None:
    np.testing.assert_array_equal(read(cifar_files.dumps({b"data": np.asfortranarray(PIXELS)}))["data"], PIXELS)


# --- malice -----------------------------------------------------------------------------------------------------


class Gadget:
    """Pickles to a call of `function`."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def short(text: bytes) -> bytes:
    return b"\x8c" + bytes([len(text)]) + text


def malicious(canary: Path) -> dict[str, bytes]:
    command = f"touch {canary}"
    system = Gadget(os.system, command)
    plain = f"cos\nsystem\n(S'{command}'\ntR.".encode()
    stacked = b"\x80\x04" + short(b"posix") + short(b"system") + b"\x93" + short(command.encode()) + b"\x85R."
    nested = {b"data": PIXELS, b"labels": [1, {b"deep": [system]}]}
    imported = b"\x80\x02" + f"cbuiltins\n__import__\n(S'os'\ntR(S'{command}'\nt.".encode()
    return {
        "global and reduce": plain,
        "stack global": stacked,
        "in a batch": pickle.dumps(nested, protocol=2),
        "in a batch, protocol 4": pickle.dumps(nested, protocol=4),
        "in a batch, protocol 5": pickle.dumps(nested, protocol=5),
        "eval": pickle.dumps(Gadget(eval, f"__import__('os').mkdir({str(canary)!r})"), protocol=2),
        "open": pickle.dumps(Gadget(open, str(canary), "w"), protocol=4),
        "import": imported,
        "instance": f"(S'{command}'\nios\nsystem\n.".encode(),
        "object": f"(cos\nsystem\nS'{command}'\no.".encode(),
        "new object": b"\x80\x02cpathlib\nPath\n)\x81.",
        "extension": b"\x80\x02\x82\x01.",
        "persistent": b"Pid\n.",
        "dotted name": b"\x80\x04" + short(b"numpy") + short(b"core.multiarray.os.system") + b"\x93.",
        "codecs with another codec": pickle.dumps(Gadget(__import__("codecs").encode, "x", "zip"), protocol=2),
        "state with a method": b"\x80\x02cnumpy\ndtype\n(U\x02u1K\x00K\x01tR}U\x05__x__cos\nsystem\nsb.",
    }


@pytest.mark.parametrize("name", malicious(Path("x")))
def test_a_malicious_pickle_is_refused_and_runs_nothing(name: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    with pytest.raises(DataError, match="the batch"):
        read(malicious(canary)[name])
    assert not canary.exists()


def test_the_malicious_pickles_would_have_worked(tmp_path: Path) -> None:
    # The test above would pass with harmless pickles too; these show that the gadgets are live.
    for name in ("global and reduce", "stack global", "in a batch", "eval"):
        canary = tmp_path / name.replace(" ", "-")
        pickle.loads(malicious(canary)[name])
        assert canary.exists()


def array_pickle(*, shape: str = "K\x03K\x04\x86", code: str = "u1", content: bytes = bytes(12)) -> bytes:
    """Return a pickled dictionary with one array made of these parts."""
    body = b"}U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    element = b"cnumpy\ndtype\nU" + bytes([len(code)]) + code.encode() + b"K\x00K\x01\x87R"
    state = b"(K\x01" + shape.encode("latin-1") + element + b"\x89T" + struct.pack("<i", len(content)) + content
    return b"\x80\x02" + body + state + b"tbs."


def test_the_hand_made_array_is_read() -> None:
    assert read(array_pickle())["data"].shape == (3, 4)  # type: ignore[attr-defined]


HOSTILE_ARRAYS = {
    "more shape than bytes": array_pickle(shape="J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86"),
    "negative shape": array_pickle(shape="J\xfd\xff\xff\xffJ\xfc\xff\xff\xff\x86"),
    "no shape": array_pickle(shape="N"),
    "shape of text": array_pickle(shape="U\x01aU\x01b\x86"),
    "true as a side": array_pickle(shape="\x88K\x0c\x86"),
    "objects": array_pickle(code="O8"),
    "other numbers": array_pickle(code="f4", content=bytes(48)),
    "fewer bytes than shape": array_pickle(content=bytes(11)),
}


@pytest.mark.parametrize("data", HOSTILE_ARRAYS.values(), ids=HOSTILE_ARRAYS)
def test_an_array_that_does_not_add_up_is_refused(data: bytes) -> None:
    with pytest.raises(DataError, match="no batch of images does"):
        read(data)


LONG_TEXT = b"\x80\x02]X" + struct.pack("<I", 300_000) + b"x" * 300_000 + b"q\x00a"
LONG_BYTES = b"\x80\x03]B" + struct.pack("<I", 300_000) + b"x" * 300_000 + b"q\x00a"
ENCODE = b"c_codecs\nencode\nq\x01aX\x06\x00\x00\x00latin1q\x02a"
ARRAY_OF_IT = (
    b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    b"(K\x01J" + struct.pack("<i", 300_000) + b"\x85cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R\x89h\x00tb"
)
BOMBS = {
    "memo at four billion": b"\x80\x02]r\xff\xff\xff\xff.",
    "a terabyte announced": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"x.",
    "a frame of a terabyte": b"\x80\x04\x95" + struct.pack("<Q", 1 << 40) + b"].",
    "a long text announced": b"\x80\x02T\xff\xff\xff\x7fx.",
    "doubling": b"\x80\x02]q\x00" + b"h\x00h\x00\x86q\x00" * 300 + b".",
    "doubling as a key": b"\x80\x02}()q\x00" + b"h\x00h\x00\x86q\x00" * 60 + b"Nu.",
    "one text as bytes again and again": LONG_TEXT + ENCODE + b"h\x01h\x00h\x02\x86Ra" * 150 + b".",
    "one text as an array again and again": LONG_TEXT + ARRAY_OF_IT * 40 + b".",
    "some bytes as a key again and again": LONG_BYTES + b"}h\x00Ns" * 240 + b".",
    "many values": b"\x80\x02" + b"]" * 1_000_000 + b".",
    "deep": b"\x80\x02)" + b"\x85" * 1_000_000 + b".",
    "a number with a million digits": b"I" + b"9" * 1_000_000 + b"\n.",
}


@pytest.mark.parametrize("data", BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_refused_in_little_memory(data: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(DataError):
            read(data)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b".",
        b"\x80\x02}",
        b"\x80\x02}.}",
        b"\x80\x02].",
        b"\x80\x02}}.",
        b"\x80\x02h\x00.",
        b"\x80\x02(.",
        b"\x80\x02e.",
        b"\x80\x02}K\x01K\x02s.",
        b"\x80\x02}(K\x01u.",
        b"\x80\x02NNs.",
        b"\x80\x02K\x01K\x01R.",
        b"\x80\x02K\x01K\x01b.",
        b"\x80\x02R.",
        b"\x80\x02q\x00.",
        b"<!DOCTYPE html>",
    ],
)
def test_a_broken_program_is_a_data_error(data: bytes) -> None:
    with pytest.raises(DataError, match="the batch"):
        read(data)


def test_every_single_byte_change_gives_a_batch_or_a_data_error() -> None:
    data = GENUINE[0]
    for position in range(len(data)):
        for value in (0, data[position] ^ 1, data[position] ^ 0x80, 255, ord("R"), ord("c"), ord("b"), ord(".")):
            try:
                read(data[:position] + bytes([value]) + data[position + 1 :])
            except DataError:
                continue


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_give_a_data_error_or_nothing(data: bytes) -> None:
    try:
        assert read(data) == {}  # the one thing that random bytes may spell
    except DataError:
        return


INSTRUCTIONS = [bytes([code]) for code in b"()]}NRbceh0aus\x85\x86\x87\x88\x89\x93\x94q\x00K\x01.tT\x8cJ"]
NAMES = [b"cnumpy\nndarray\n", b"cnumpy\ndtype\n", b"cnumpy.core.multiarray\n_reconstruct\n", b"c_codecs\nencode\n"]


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from([*INSTRUCTIONS, *NAMES, b"U\x02u1", b"X\x06\0\0\0latin1"]), max_size=40))
def test_random_programs_give_a_dictionary_or_a_data_error(parts: list[bytes]) -> None:
    with contextlib.suppress(DataError):
        assert isinstance(read(b"\x80\x02" + b"".join(parts) + b"."), dict)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(GENUINE), st.integers(0, 10_000), st.integers(0, 10_000), st.binary(max_size=6))
def test_cut_and_patched_batches_give_a_batch_or_a_data_error(data: bytes, start: int, end: int, patch: bytes) -> None:
    start, end = sorted((start % len(data), end % len(data)))
    with contextlib.suppress(DataError):
        assert isinstance(read(data[:start] + patch + data[end:]), dict)


# --- what a batch must hold -------------------------------------------------------------------------------------


def batch(**changes: object) -> bytes:
    content: dict[bytes, object] = {b"data": np.zeros((20, 3072), np.uint8), b"labels": [0] * 20}
    content |= {key.encode(): value for key, value in changes.items()}
    return cifar_files.dumps({key: value for key, value in content.items() if value is not None})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": None}, "lacks ['labels']"),
        ({"data": None}, "lacks ['data']"),
        ({"extra": 1}, "holds ['extra']"),
        ({"data": [1, 2]}, "'data' is not an array"),
        ({"data": np.zeros((20, 3071), np.uint8)}, "'data' is not an array"),
        ({"data": np.zeros((19, 3072), np.uint8)}, "'data' is not an array"),
        ({"data": np.zeros((3072, 20), np.uint8)}, "'data' is not an array"),
        ({"labels": [0] * 19}, "'labels' is not a list"),
        ({"labels": [0] * 19 + [True]}, "'labels' is not a list"),
        ({"labels": [0] * 19 + [b"0"]}, "'labels' is not a list"),
        ({"labels": 3}, "'labels' is not a list"),
        ({"labels": [0] * 19 + [10]}, "label outside 0..9"),
        ({"labels": [0] * 19 + [-1]}, "label outside 0..9"),
    ],
)
def test_a_batch_with_other_content_is_refused(changes: dict[str, object], message: str) -> None:
    layout = cifar_files.MINI10.layouts[0]
    parse = {"batch": layout.test[0], "layout": layout, "classes": 10, "where": "test_batch"}
    assert len(batches.parse(batch(), **parse).labels) == 20  # type: ignore[arg-type]
    with pytest.raises(DataError) as raised:
        batches.parse(batch(**changes), **parse)  # type: ignore[arg-type]
    assert message in str(raised.value)
