"""A user's own images: what is right is read, and what is wrong is a DataError that names the array."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewepochs.data import npz, sources
from fewepochs.errors import DataError


def good() -> dict[str, Any]:
    random = np.random.default_rng(3)
    return {
        "x_train": random.integers(0, 256, (6, 5, 4), dtype=np.uint8),
        "y_train": np.array([0, 1, 2, 0, 1, 2]),
        "x_test": random.integers(0, 256, (3, 5, 4), dtype=np.uint8),
        "y_test": np.array([2, 1, 1]),
    }


def packed(arrays: dict[str, Any], *, compressed: bool = False) -> bytes:
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **arrays)
    return buffer.getvalue()


def load(tmp_path: Path, data: bytes) -> sources.DataSet:
    path = tmp_path / "mine.npz"
    path.write_bytes(data)
    return sources.load("npz", where=path)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_file_as_keras_keeps_mnist_is_read(compressed: bool, tmp_path: Path) -> None:
    arrays = good()
    found = load(tmp_path, packed(arrays, compressed=compressed))
    np.testing.assert_array_equal(found.train.pixels, arrays["x_train"][..., None])
    np.testing.assert_array_equal(found.test.pixels, arrays["x_test"][..., None])
    np.testing.assert_array_equal(found.train.labels, arrays["y_train"])
    np.testing.assert_array_equal(found.test.labels, arrays["y_test"])
    assert (found.kind, found.white, found.classes) == ("npz", 255, ("0", "1", "2"))
    assert found.origin == str(tmp_path / "mine.npz")
    assert found.train.labels.dtype == np.int64
    assert found.train.pixels.flags.writeable


def variants() -> dict[str, dict[str, Any]]:
    base = good()
    colour = {name: np.repeat(base[name][..., None], 3, axis=3) for name in ("x_train", "x_test")}
    columns = {name: base[name][:, None] for name in ("y_train", "y_test")}
    types = ("u1", "i2", ">i4", "<u8")
    return {
        "colour": colour,
        "labels in a column": columns,
        "fortran order": {"x_train": np.asfortranarray(base["x_train"])},
        "names": {"classes": np.array(["cat", "dog", "Übung"])},
        "names without images": {"classes": np.array(["a", "b", "c", "d"])},
        "another array beside": {"weights": np.ones(9)},
        **{f"labels of type {t}": {"y_train": base["y_train"].astype(t)} for t in types},
    }


@pytest.mark.parametrize("name", variants())
def test_variants_that_mean_the_same_are_read(name: str, tmp_path: Path) -> None:
    changes = variants()[name]
    found = load(tmp_path, packed(good() | changes))
    np.testing.assert_array_equal(found.train.pixels[..., 0], good()["x_train"])
    np.testing.assert_array_equal(found.train.labels, good()["y_train"])
    assert found.train.pixels.flags.c_contiguous
    if "classes" in changes:
        assert found.classes == tuple(changes["classes"])


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no x_test": ({"x_test": None}, "lacks the array x_test"),
    "floats": ({"x_train": np.zeros((6, 5, 4))}, "x_train is float64 [6, 5, 4]; expected uint8"),
    "int pixels": ({"x_test": np.zeros((3, 5, 4), int)}, "x_test is int64 [3, 5, 4]; expected uint8"),
    "flat images": ({"x_train": np.zeros((6, 20), np.uint8)}, "x_train is uint8 [6, 20]"),
    "five axes": ({"x_train": np.zeros((6, 5, 4, 1, 1), np.uint8)}, "impossible shape (6, 5, 4, 1, 1)"),
    "empty": ({"x_train": np.zeros((0, 5, 4), np.uint8), "y_train": np.zeros(0, int)}, "x_train is empty"),
    "no height": ({"x_train": np.zeros((6, 0, 4), np.uint8)}, "x_train is empty"),
    "float labels": ({"y_train": np.zeros(6)}, "y_train is float64 [6]; expected whole numbers"),
    "truth values": ({"y_train": np.zeros(6, bool)}, "y_train is bool [6]; expected whole numbers"),
    "one-hot labels": ({"y_train": np.eye(6, 3, dtype=int)}, "y_train is int64 [6, 3]; expected whole numbers"),
    "a single label": ({"y_train": np.array(1)}, "y_train is int64 []; expected whole numbers"),
    "fewer labels": ({"y_train": np.array([0, 1])}, "x_train has 6 images and y_train 2 labels"),
    "more labels": ({"y_test": np.array([0, 1, 1, 1])}, "x_test has 3 images and y_test 4 labels"),
    "negative": ({"y_train": np.array([0, 1, 2, 0, 1, -1])}, "y_train has labels -1..2"),
    "huge": (
        {"y_train": np.array([0, 1, 2, 0, 1, 2**64 - 1], np.uint64)},
        "y_train has labels 0..18446744073709551615",
    ),
    "a gap": ({"y_train": np.array([0, 1, 3, 0, 1, 3])}, "labels up to 3 but none is 2"),
    "from one": ({"y_train": np.array([1, 2, 3, 1, 2, 3])}, "labels up to 3 but none is 0"),
    "one class": ({"y_train": np.zeros(6, int), "y_test": np.zeros(3, int)}, "single class"),
    "unknown label": ({"y_test": np.array([0, 1, 3])}, "y_test has the label 3; 3 classes are 0..2"),
    "too few names": ({"classes": np.array(["a", "b"])}, "y_train has the label 2; 2 classes are 0..1"),
    "repeated name": ({"classes": np.array(["a", "b", "a"])}, "the same name twice"),
    "empty name": ({"classes": np.array(["a", "b", ""])}, "empty"),
    "escape sequence": ({"classes": np.array(["a", "b", "\x1b[2J"])}, "not printable"),
    "half a character": ({"classes": np.array(["a", "b", "\ud800"])}, "not printable"),
    "bytes as names": ({"classes": np.array([b"a", b"b", b"c"])}, "classes is of type |S1"),
    "names in a table": ({"classes": np.array([["a", "b", "c"]])}, "classes is <U1 [1, 3]; expected a text array"),
    "other size": ({"x_test": np.zeros((3, 4, 5), np.uint8)}, "x_train are 5x4x1 and those of x_test 4x5x1"),
    "other channels": ({"x_test": np.zeros((3, 5, 4, 3), np.uint8)}, "5x4x1 and those of x_test 5x4x3"),
    "objects": ({"y_train": np.array([0, 1, 2, 0, 1, None])}, "objects never"),
    "records": ({"x_train": np.zeros(6, "u1,u1")}, "x_train is of type"),
    "complex": ({"y_test": np.zeros(3, complex)}, "y_test is of type complex128"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_names_the_array_and_what_is_expected(name: str, tmp_path: Path) -> None:
    changes, message = WRONG[name]
    arrays = {key: value for key, value in (good() | changes).items() if value is not None}
    with pytest.raises(DataError) as raised:
        load(tmp_path, packed(arrays))
    assert message in str(raised.value)
    assert str(tmp_path / "mine.npz") in str(raised.value)


def test_a_missing_file_and_a_folder_are_data_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        sources.load("npz", where=tmp_path / "nothing.npz")
    with pytest.raises(DataError, match="not a plain file"):
        sources.load("npz", where=tmp_path)
    for data in (b"", b"<html></html>", packed(good())[:-40]):
        with pytest.raises(DataError, match=r"is not an \.npz file, or is damaged"):
            load(tmp_path, data)


def test_an_object_array_is_never_unpickled(tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (open, (str(canary), "w"))

    with pytest.raises(DataError, match="objects never"):
        load(tmp_path, packed(good() | {"y_train": np.array([Evil()] * 6, dtype=object)}))
    assert not canary.exists()


# --- hostile containers -----------------------------------------------------------------------------------------


def header(shape: str, descr: str = "'|u1'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def with_member(content: bytes, *, name: str = "x_train", compression: int = zipfile.ZIP_STORED) -> bytes:
    """Return a good file with `content` as its member `name`.npy."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"{name}.npy", content, compress_type=compression)
        for other, array in good().items():
            plain = io.BytesIO()
            np.save(plain, array)
            if other != name:
                archive.writestr(f"{other}.npy", plain.getvalue(), compress_type=compression)
    return buffer.getvalue()


def claimed(data: bytes, size: int) -> bytes:
    """Return the zip `data` with the unpacked size of its first member overwritten in the directory."""
    start = data.index(b"PK\x01\x02")
    return data[: start + 24] + struct.pack("<I", size) + data[start + 28 :]


SHAPE = "(6, 5, 4)"
HOSTILE = {
    "a terabyte of pixels": with_member(header("(1000000, 1000, 1000)") + bytes(120)),
    "more than there is": with_member(header("(6, 5, 5)") + bytes(120)),
    "less than there is": with_member(header("(6, 5, 3)") + bytes(120)),
    "negative": with_member(header("(-6, 5, 4)") + bytes(120)),
    "twice negative": with_member(header("(-6, -5, 4)") + bytes(120)),
    "true as a side": with_member(header("(True, 30, 4)") + bytes(120)),
    "no tuple": with_member(header("120") + bytes(120)),
    "no shape": with_member(header("None") + bytes(120)),
    "deep header": with_member(header("(" * 2000 + ")" * 2000) + bytes(120)),
    "code in the header": with_member(header("__import__('os').getcwd()") + bytes(120)),
    "unknown type": with_member(header(SHAPE, "'zz'") + bytes(120)),
    "nested type": with_member(header(SHAPE, "('|u1', (2, 3))") + bytes(720)),
    "records": with_member(header(SHAPE, "[('a', '|u1')]") + bytes(120)),
    "objects": with_member(header(SHAPE, "'|O'") + b"cos\nsystem\n(S'true'\ntR."),
    "text that is none": with_member(header("(3,)", "'<U1'") + b"\xff" * 12, name="classes"),
    "no header": with_member(b"\x93NUMPY"),
    "newer format": with_member(header(SHAPE).replace(b"NUMPY\x01", b"NUMPY\x03") + bytes(120)),
    "not npy": with_member(b"x" * 300),
    "empty member": with_member(b""),
    "bzip2": with_member(header(SHAPE) + bytes(120), compression=zipfile.ZIP_BZIP2),
    "a lie of four gigabytes": claimed(
        with_member(header(SHAPE) + bytes(120), compression=zipfile.ZIP_DEFLATED), 0xFFFFFFF0
    ),
    "a consistent lie": claimed(
        with_member(header("(4000000000,)") + bytes(120), compression=zipfile.ZIP_DEFLATED),
        4_000_000_000 + len(header("(4000000000,)")),
    ),
    "half of what is claimed": claimed(
        with_member(header(SHAPE) + bytes(60), compression=zipfile.ZIP_DEFLATED), len(header(SHAPE)) + 120
    ),
    "a small lie": claimed(with_member(header(SHAPE) + bytes(120), compression=zipfile.ZIP_DEFLATED), 9),
}


def test_the_hand_made_container_is_read(tmp_path: Path) -> None:
    assert load(tmp_path, with_member(header(SHAPE) + bytes(120))).train.pixels.shape == (6, 5, 4, 1)


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_a_container_that_does_not_add_up_is_refused_in_little_memory(data: bytes, tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(DataError):
            load(tmp_path, data)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_a_bomb_above_the_cap_is_refused_before_it_is_unpacked() -> None:
    size = 64 << 20
    bomb = with_member(header(f"({size},)") + bytes(size), compression=zipfile.ZIP_DEFLATED)
    assert len(bomb) < 1 << 20
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="at most 33,554,432 are read"):
            npz.read_arrays(io.BytesIO(bomb), required=("x_train",), where="bomb", most_bytes=32 << 20)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_one_name_twice_and_many_members_are_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO(packed(good()))
    with zipfile.ZipFile(buffer, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("x_train.npy", header(SHAPE) + bytes(120))
    with pytest.raises(DataError, match="2 arrays called x_train"):
        load(tmp_path, buffer.getvalue())
    with zipfile.ZipFile(buffer, "a") as archive:
        for number in range(1024):
            archive.writestr(f"{number}", b"")
    with pytest.raises(DataError, match="members; that is no data set"):
        load(tmp_path, buffer.getvalue())


def content_or_error(data: bytes) -> bytes | None:
    try:
        arrays = npz.read_arrays(io.BytesIO(data), required=("x_train",), where="fuzz")
    except DataError:
        return None
    return arrays["x_train"].tobytes()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_are_a_data_error(data: bytes) -> None:
    assert content_or_error(data) is None


def test_every_flipped_bit_in_an_array_is_noticed() -> None:
    small = {"x_train": np.arange(8, dtype=np.uint8).reshape(2, 2, 2)}
    for compressed in (False, True):
        data = packed(small, compressed=compressed)
        for position in range(len(data)):
            for bit in (1, 0x80):
                damaged = data[:position] + bytes([data[position] ^ bit]) + data[position + 1 :]
                # Either it is noticed, or it hit something that says nothing of the content, such as the date.
                assert content_or_error(damaged) in (None, small["x_train"].tobytes())


@settings(max_examples=200, deadline=None)
@given(st.booleans(), st.integers(0, 10_000), st.integers(0, 10_000), st.binary(max_size=6))
def test_cut_and_patched_files_give_arrays_or_a_data_error(
    compressed: bool, start: int, end: int, patch: bytes
) -> None:
    data = packed({"x_train": good()["x_train"]}, compressed=compressed)
    start, end = sorted((start % len(data), end % len(data)))
    content_or_error(data[:start] + patch + data[end:])
