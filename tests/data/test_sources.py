"""Where data comes from: every form of a data set gives the same images, and what is wrong is said and survived."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import cifar_files
import numpy as np
import pytest

from fewepochs.data import archives, cache, images, layouts, sources
from fewepochs.data.layouts import Family
from fewepochs.errors import DataError

PUBLISHED = {kind: cifar_files.published(mini) for kind, mini in
             (("cifar10", cifar_files.MINI10), ("cifar100", cifar_files.MINI100))}  # fmt: skip
FAMILIES = tuple(family for family, _ in PUBLISHED.values())
KINDS = ("cifar10", "cifar100")


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEWEPOCHS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))


def load(kind: str, where: Path | None = None, said: list[str] | None = None) -> sources.DataSet:
    say = (said if said is not None else []).append
    return sources._load(kind, where=where, download=False, say=say, families=FAMILIES)


def put_archive(place: Path, kind: str, form: str, name: str | None = None) -> Path:
    family, made = PUBLISHED[kind]
    layout = next(layout for layout in family.layouts if layout.form == form)
    place.mkdir(parents=True, exist_ok=True)
    path = place / (name or layout.archive.name)
    path.write_bytes(made[form])
    return path


def put_folder(place: Path, kind: str, form: str, protocol: int | None = None) -> Path:
    family = PUBLISHED[kind][0]
    layout = next(layout for layout in family.layouts if layout.form == form)
    return cifar_files.write_folder(family, layout, place, protocol=protocol)


def assert_whole(found: sources.DataSet) -> None:
    """Compare with the slow oracle, pixel by pixel."""
    x_train, y_train, x_test, y_test = cifar_files.expected(PUBLISHED[found.kind][0])
    np.testing.assert_array_equal(found.train.pixels, x_train)
    np.testing.assert_array_equal(found.train.labels, y_train)
    np.testing.assert_array_equal(found.test.pixels, x_test)
    np.testing.assert_array_equal(found.test.labels, y_test)
    for part in (found.train, found.test):
        assert part.pixels.dtype == np.uint8
        assert part.labels.dtype == np.int64
        assert part.pixels.flags.c_contiguous
        assert part.pixels.flags.writeable
    assert found.white == 255
    assert len(found.digest) == 64


# --- every form gives the same ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_archives_folders_and_cache_give_the_same_images_and_digest(kind: str, tmp_path: Path) -> None:
    found = [
        load(kind, put_folder(tmp_path / "a", kind, "python")),
        load(kind, put_folder(tmp_path / "b", kind, "binary")),
        load(kind, put_folder(tmp_path / "c", kind, "python", protocol=2)),
        load(kind, put_folder(tmp_path / "d", kind, "python", protocol=4)),
        load(kind, put_archive(tmp_path / "e", kind, "python")),
        load(kind, put_archive(tmp_path / "f", kind, "binary")),
        load(kind),
    ]
    for one in found:
        assert_whole(one)
    assert len({one.digest for one in found}) == 1
    assert found[0].verified == "structure and class counts"
    assert found[4].verified == "SHA-256 of the published archive"
    assert found[6].origin == str(tmp_path / "cache" / cache.entry(PUBLISHED[kind][0].layouts[0]).name)


def test_the_digest_depends_on_shape_pixels_labels_and_order() -> None:
    found = load("digits")
    digests = {found.digest}
    for change in ("pixel", "label", "order", "shape", "split"):
        pixels, labels = found.train.pixels.copy(), found.train.labels.copy()
        train, test = sources.Images(pixels, labels), found.test
        if change == "pixel":
            pixels[0, 0, 0, 0] ^= 1
        elif change == "label":
            labels[0] += 1
        elif change == "order":
            train = sources.Images(pixels[::-1], labels[::-1])
        elif change == "shape":
            train = sources.Images(pixels.reshape(-1, 4, 16, 1), labels)
        else:
            train, test = test, train
        digests.add(images.digest(train, test))
    assert len(digests) == 6


@pytest.mark.skipif("FEWEPOCHS_TEST_DATA" not in os.environ, reason="FEWEPOCHS_TEST_DATA names no folder with CIFAR-10")
def test_the_real_cifar10_is_read(tmp_path: Path) -> None:
    found = sources.load("cifar10", where=Path(os.environ["FEWEPOCHS_TEST_DATA"]))
    assert found.train.pixels.shape == (50_000, 32, 32, 3)
    assert found.test.pixels.shape == (10_000, 32, 32, 3)
    assert (np.bincount(found.train.labels) == 5_000).all()
    # Known means of the training set's channels, whatever the order of its images.
    means = found.train.pixels.mean(axis=(0, 1, 2))
    np.testing.assert_allclose(means, [125.307, 122.950, 113.865], atol=0.001)
    layout = layouts.CIFAR10.layouts[0]
    cache.write(layout, found.train, found.test, say=pytest.fail)
    again = sources.load("cifar10")
    assert again.digest == found.digest
    np.testing.assert_array_equal(again.train.pixels, found.train.pixels)


def test_the_published_tables_are_consistent() -> None:
    for family, classes in ((layouts.CIFAR10, 10), (layouts.CIFAR100, 100)):
        assert len(set(family.classes)) == classes
        for layout in family.layouts:
            assert sum(batch.images for batch in layout.train) == 50_000
            assert sum(batch.images for batch in layout.test) == 10_000
            assert len(bytes.fromhex(layout.archive.sha256)) == 32
            assert layout.archive.url == f"https://www.cs.toronto.edu/~kriz/{layout.archive.name}"
    assert len({layout.archive.sha256 for family in layouts.PUBLISHED for layout in family.layouts}) == 4


def test_the_digits_are_those_of_scikit_learn() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    bunch = datasets.load_digits()
    found = sources.load("digits")
    np.testing.assert_array_equal(found.train.pixels[..., 0], bunch.images[:1437])
    np.testing.assert_array_equal(found.test.pixels[..., 0], bunch.images[1437:])
    np.testing.assert_array_equal(found.train.labels, bunch.target[:1437])
    np.testing.assert_array_equal(found.test.labels, bunch.target[1437:])
    assert (found.white, found.train.pixels.max(), len(found.test.labels)) == (16, 16, 360)
    assert found.classes == tuple("0123456789")


# --- where it is looked for -------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["python", "binary"])
@pytest.mark.parametrize("kind", KINDS)
def test_data_may_name_the_folder_its_parent_an_archive_or_the_archives_folder(
    kind: str, form: str, tmp_path: Path
) -> None:
    folder = put_folder(tmp_path / "a", kind, form)
    archive = put_archive(tmp_path / "b", kind, form)
    renamed = put_archive(tmp_path / "c", kind, form, name="my copy.tgz")
    for where in (folder, folder.parent, archive, archive.parent, renamed):
        assert_whole(load(kind, where))


@pytest.mark.parametrize(
    "name", ["{folder}-target/{folder}", "{folder}", "{folder}-target_archive", "{folder}.tar.gz", "{archive}"]
)
@pytest.mark.parametrize("kind", KINDS)
def test_keras_cache_is_found_in_every_layout_that_keras_used(kind: str, name: str, tmp_path: Path) -> None:
    layout = PUBLISHED[kind][0].layouts[0]
    datasets = tmp_path / "keras" / "datasets"
    path = datasets / name.format(folder=layout.folder, archive=layout.archive.name)
    if path.name == layout.folder:
        put_folder(path.parent, kind, "python")
    else:
        put_archive(datasets, kind, "python", name=path.name)
    found = load(kind)
    assert_whole(found)
    assert found.origin == str(path)


def test_keras_default_place_is_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    folder = put_folder(tmp_path / "home" / ".keras" / "datasets", "cifar10", "python")
    assert load("cifar10").origin == str(folder)


def test_the_own_cache_comes_before_keras_and_data_before_both(tmp_path: Path) -> None:
    keras = put_folder(tmp_path / "keras" / "datasets", "cifar10", "python")
    assert load("cifar10").origin == str(keras)
    own = put_archive(tmp_path / "cache", "cifar10", "binary")
    assert load("cifar10").origin == str(own)
    assert load("cifar10").verified == "digest of the cached copy of cifar-10-binary.tar.gz"
    given = put_folder(tmp_path / "given", "cifar10", "python")
    assert load("cifar10", given).origin == str(given)


def test_with_data_named_nothing_else_is_looked_at(tmp_path: Path) -> None:
    put_archive(tmp_path / "cache", "cifar10", "python")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no cifar10"):
        load("cifar10", tmp_path / "empty")


def test_what_is_missing_is_said_with_the_places_and_the_ways_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        load("cifar100")
    message = str(raised.value)
    for part in (str(tmp_path / "cache"), str(tmp_path / "keras"), "fewepochs data fetch cifar100", "--data",
                 "cifar-100-python.tar.gz", "cifar-100-binary"):  # fmt: skip
        assert part in message
    assert raised.value.exit_code == 3


def test_available_looks_in_a_fixed_order_and_reads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_archive(tmp_path / "given", "cifar100", "binary")
    put_folder(tmp_path / "given", "cifar10", "binary")
    (put_folder(tmp_path / "given", "cifar10", "python") / "test_batch").unlink()
    load("cifar10", put_archive(tmp_path / "x", "cifar10", "python"))
    (tmp_path / "keras" / "datasets").mkdir(parents=True)
    (tmp_path / "keras" / "datasets" / "cifar-10-python.tar.gz").write_bytes(b"x" * 12)
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("opened a file"))
    found = sources._available(tmp_path / "given", FAMILIES)
    small = {kind: f"{PUBLISHED[kind][0].layouts[i].archive.size:,}" for kind, i in (("cifar10", 0), ("cifar100", 1))}
    entry = (tmp_path / "cache" / "cifar-10-python.npz").stat().st_size
    assert [(s.kind, s.form, Path(s.path).name, s.detail) for s in found] == [
        ("cifar10", "extracted folder (python)", "cifar-10-batches-py", "5 of 6 files with images: incomplete"),
        ("cifar10", "extracted folder (binary)", "cifar-10-batches-bin", "6 of 6 files with images"),
        ("cifar10", "cache", "cifar-10-python.npz", f"{entry:,} bytes"),
        ("cifar10", "python archive", "cifar-10-python.tar.gz", f"12 bytes; as published it has {small['cifar10']}"),
        ("cifar100", "binary archive", "cifar-100-binary.tar.gz", f"{small['cifar100']} bytes"),
        ("digits", "embedded", "embedded in fewepochs", "1,797 images 8x8, CC BY 4.0"),
    ]


def test_available_names_a_file_given_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.npz").write_bytes(b"x" * 1234)
    assert sources.available(tmp_path / "mine.npz")[0] == sources.Source(
        "npz", str(tmp_path / "mine.npz"), "npz file", "1,234 bytes"
    )
    archive = put_archive(tmp_path, "cifar10", "binary", name="renamed")
    assert next(sources._available(archive, FAMILIES)).form == "binary archive"
    assert sources.available(tmp_path / "nothing here")[-1].kind == "digits"


def test_the_download_notice_says_url_size_and_hash() -> None:
    assert sources.download_notice("cifar10") == (
        "cifar10: https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz 170,498,071 bytes, "
        "SHA-256 6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
    )
    with pytest.raises(DataError, match="digits is not downloaded"):
        sources.download_notice("digits")


# --- what is wrong is said, and nothing of the user's is touched ------------------------------------------------


def test_a_kind_that_does_not_exist_and_npz_without_a_file_are_errors() -> None:
    with pytest.raises(DataError, match="'imagenet' is not a data set; there are cifar10, cifar100, digits and npz"):
        sources.load("imagenet")
    with pytest.raises(DataError, match=r"--data FILE\.npz"):
        sources.load("npz")


def damaged(kind: str, how: str) -> tuple[bytes, str]:
    """Return an archive with something wrong and what the message must say."""
    data = PUBLISHED[kind][1]["python"]
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 4
    return {
        "truncated": (data[: len(data) // 2], "It was cut off"),
        "one bit flipped": (bytes(flipped), "It was changed or damaged"),
        "a page": (b"<!DOCTYPE html><html>404</html>", "It looks like a web page"),
        "empty": (b"", "It is empty"),
        "something else": (b"PK\x03\x04" * 99, "It is not a gzip file"),
        "packed anew": (data + b"\0", "unpack it and name the folder"),
    }[how]


HOW = ["truncated", "one bit flipped", "a page", "empty", "something else", "packed anew"]


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("parent", [False, True])
def test_a_damaged_archive_of_the_user_is_refused_and_left_alone(how: str, parent: bool, tmp_path: Path) -> None:
    data, hint = damaged("cifar10", how)
    path = tmp_path / "given" / "cifar-10-python.tar.gz"
    path.parent.mkdir()
    path.write_bytes(data)
    with pytest.raises(DataError) as raised:
        load("cifar10", path.parent if parent else path)
    message = str(raised.value)
    assert hint in message
    assert str(path) in message
    assert "fewepochs data fetch cifar10" in message
    assert PUBLISHED["cifar10"][0].layouts[0].archive.sha256 in message
    assert [(entry.name, entry.read_bytes()) for entry in path.parent.iterdir()] == [(path.name, data)]
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("how", HOW)
def test_a_damaged_archive_in_the_own_cache_is_kept_as_bad(how: str, tmp_path: Path) -> None:
    path = put_archive(tmp_path / "cache", "cifar10", "python")
    data, _ = damaged("cifar10", how)
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"renamed to cifar-10-python\.tar\.gz\.bad"):
        load("cifar10")
    assert [entry.name for entry in path.parent.iterdir()] == [path.name + ".bad"]
    assert path.with_name(path.name + ".bad").read_bytes() == data


def test_an_archive_of_the_other_data_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is the published archive of cifar100, not of cifar10"):
        load("cifar10", put_archive(tmp_path, "cifar100", "binary"))


def test_a_damaged_find_is_passed_over_for_a_whole_one_and_said(tmp_path: Path) -> None:
    put_folder(tmp_path / "keras" / "datasets", "cifar10", "python")
    (put_archive(tmp_path / "cache", "cifar10", "python")).write_bytes(b"<html>")
    said: list[str] = []
    assert_whole(load("cifar10", said=said))
    assert len(said) == 1
    assert "web page" in said[0]


def break_folder(folder: Path, how: str) -> None:
    first = folder / "data_batch_1.bin"
    content = bytearray(first.read_bytes())
    if how == "missing":
        first.unlink()
    elif how == "short":
        first.write_bytes(content[:-1])
    elif how == "long":
        first.write_bytes(content + b"\0")
    elif how == "label":
        content[0] = 10
        first.write_bytes(content)
    elif how == "counts":
        content[0] = (content[0] + 1) % 10
        first.write_bytes(content)
    elif how == "copied":
        first.write_bytes((folder / "data_batch_2.bin").read_bytes())
    elif how == "folder":
        first.unlink()
        first.mkdir()
    elif how == "pipe":
        first.unlink()
        os.mkfifo(first)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing", "data_batch_1.bin is missing; the folder is not complete"),
        ("short", "61,459 bytes; 20 images are 61,460 bytes"),
        ("long", "more than 61,460 bytes"),
        ("label", "label outside 0..9"),
        ("counts", "images of class"),
        ("copied", "images of class"),
        ("folder", "is not a plain file"),
        ("pipe", "is not a plain file"),
    ],
)
def test_a_folder_that_is_not_whole_is_refused(how: str, message: str, tmp_path: Path) -> None:
    folder = put_folder(tmp_path, "cifar10", "binary")
    break_folder(folder, how)
    with pytest.raises(DataError) as raised:
        load("cifar10", folder)
    assert message in str(raised.value)
    assert str(folder) in str(raised.value)


def test_a_giant_file_in_a_folder_is_refused_in_little_memory(tmp_path: Path) -> None:
    folder = put_folder(tmp_path, "cifar10", "binary")
    os.truncate(folder / "test_batch.bin", 1 << 30)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="more than 61,460 bytes"):
            load("cifar10", folder)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_paths_that_cannot_be_read_are_data_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="does not exist"):
        load("cifar10", tmp_path / "nothing")
    for where in (Path("a\0b"), tmp_path / ("x" * 300), tmp_path / "nothing" / ".." / "nothing"):
        with pytest.raises(DataError):
            load("cifar10", where)
        with pytest.raises(DataError):
            load("npz", where)
        assert sources.available(where)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="not a plain file"):
        load("cifar10", tmp_path / "pipe")

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    folder = put_folder(tmp_path, "cifar10", "binary")
    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(DataError, match="Permission denied"):
        load("cifar10", folder)
    with pytest.raises(DataError, match="Permission denied"):
        load("cifar10", folder / "test_batch.bin")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission_is_a_data_error(tmp_path: Path) -> None:
    folder = put_folder(tmp_path, "cifar10", "binary")
    folder.chmod(0)
    try:
        with pytest.raises(DataError, match="Permission denied"):
            load("cifar10", folder)
    finally:
        folder.chmod(0o700)


# --- the cache --------------------------------------------------------------------------------------------------


def damage_entry(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "bit in the middle":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif how == "truncated":
        path.write_bytes(content[: len(content) // 3])
    elif how == "empty":
        path.write_bytes(b"")
    else:
        arrays = dict(np.load(path, allow_pickle=False))
        if how == "other pixels":
            arrays["x_train"][5] ^= 1
        elif how == "other type":
            arrays["y_train"] = arrays["y_train"].astype(np.int32)
        elif how == "other labels":
            arrays["y_train"][:] = 0
        elif how == "no digest":
            del arrays["digest"]
        np.savez(path, **arrays)


@pytest.mark.parametrize(
    "how",
    ["bit in the middle", "truncated", "empty", "other pixels", "other type", "other labels", "no digest"],
)
def test_a_damaged_cache_entry_is_set_aside_and_made_again(how: str, tmp_path: Path) -> None:
    archive = put_archive(tmp_path / "given", "cifar10", "python")
    first = load("cifar10", archive)
    entry = tmp_path / "cache" / "cifar-10-python.npz"
    damage_entry(entry, how)
    damage = entry.read_bytes()
    said: list[str] = []
    assert load("cifar10", archive, said).digest == first.digest
    assert "cached copy is damaged" in said[0]
    assert entry.with_name(entry.name + ".bad").read_bytes() == damage
    assert load("cifar10").digest == first.digest

    damage_entry(entry, how)
    with pytest.raises(DataError, match="cached copy is damaged") as raised:
        load("cifar10")
    assert "fewepochs data fetch cifar10" in str(raised.value)
    assert not entry.exists()


def test_an_archive_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = put_archive(tmp_path / "given", "cifar10", "python")
    first = load("cifar10", archive)
    monkeypatch.setattr(archives, "read_archive", lambda *_, **__: pytest.fail("unpacked again"))
    assert load("cifar10", archive).digest == first.digest
    assert [entry.name for entry in (tmp_path / "cache").iterdir()] == ["cifar-10-python.npz"]


def test_a_cache_that_cannot_be_written_costs_a_sentence_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a file").write_text("x")
    monkeypatch.setenv("FEWEPOCHS_CACHE", str(tmp_path / "a file"))
    said: list[str] = []
    assert_whole(load("cifar10", put_archive(tmp_path / "given", "cifar10", "python"), said))
    assert "could not be written" in said[0]


def test_a_write_that_breaks_off_leaves_no_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: object, **_: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    said: list[str] = []
    assert_whole(load("cifar10", put_archive(tmp_path / "given", "cifar10", "python"), said))
    assert "No space left on device" in said[0]
    assert list((tmp_path / "cache").iterdir()) == []


def test_strays_of_killed_processes_are_swept_once_they_are_old(tmp_path: Path) -> None:
    strays = [tmp_path / "cache" / f"cifar-10-python.npz.{name}.part" for name in ("old", "new")]
    strays[0].parent.mkdir()
    for stray in strays:
        stray.write_bytes(b"half")
    os.utime(strays[0], (1, 1))
    load("cifar10", put_archive(tmp_path / "given", "cifar10", "python"))
    assert [stray.exists() for stray in strays] == [False, True]


def test_sources_load_without_torch() -> None:
    code = "import sys, fewepochs.data.sources as s; s.load('digits'); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_families_of_the_tests_are_those_of_the_program() -> None:
    def shape(family: Family) -> object:
        return [(layout.form, layout.folder, [batch.file for batch in layout.batches]) for layout in family.layouts]

    assert [shape(family) for family in FAMILIES] == [shape(family) for family in layouts.PUBLISHED]
