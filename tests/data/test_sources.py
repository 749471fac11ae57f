"""Where data comes from: every form of a data set gives the same images."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cifar_files import FAMILIES, PUBLISHED, assert_whole, load, put_archive, put_folder

from fewepochs.data import images, layouts, sources, unpacked
from fewepochs.data.layouts import Family
from fewepochs.errors import DataError

KINDS = ("cifar10", "cifar100")


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEWEPOCHS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))


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
    assert found[6].origin == str(tmp_path / "cache" / unpacked.entry(PUBLISHED[kind][0].layouts[0]).name)


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
    unpacked.write(layout, found.train, found.test, say=pytest.fail)
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


def test_sources_load_without_torch() -> None:
    code = "import sys, fewepochs.data.sources as s; s.load('digits'); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_families_of_the_tests_are_those_of_the_program() -> None:
    def shape(family: Family) -> object:
        return [(layout.form, layout.folder, [batch.file for batch in layout.batches]) for layout in family.layouts]

    assert [shape(family) for family in FAMILIES] == [shape(family) for family in layouts.PUBLISHED]
