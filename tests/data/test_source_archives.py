"""Hostile archives: even one with the right hash cannot write a file, follow a link, or fill memory."""

from __future__ import annotations

import gzip
import io
import tarfile
import tracemalloc
from pathlib import Path

import cifar_files
import pytest

from fewepochs.data import archives
from fewepochs.data.layouts import Family, Layout
from fewepochs.errors import DataError

FAMILY = cifar_files.MINI10
LAYOUT = FAMILY.layouts[1]
FOLDER = LAYOUT.folder
MEMBERS = cifar_files.archive_members(FAMILY, LAYOUT)
LAST = f"{FOLDER}/data_batch_1.bin"
Members = list[tuple[tarfile.TarInfo, bytes]]


def read(data: bytes, family: Family = FAMILY, layout: Layout = LAYOUT) -> bytes:
    train, _ = archives.read_archive(io.BytesIO(data), path=Path("x.tar.gz"), family=family, layout=layout)
    return train.pixels.tobytes()


def replaced(name: str, *members: tuple[tarfile.TarInfo, bytes]) -> Members:
    """Return the genuine members with `members` in the place of the one called `name`."""
    kept: Members = []
    for info, data in MEMBERS:
        kept += members if info.name == name else [(info, data)]
    return kept


WHOLE = read(cifar_files.tar_gz(MEMBERS))


def test_members_that_are_not_known_are_passed_over_and_written_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path / "in")
    strangers = [
        cifar_files.member("../evil", b"x"),
        cifar_files.member(str(tmp_path / "absolute"), b"x"),
        cifar_files.member(f"{FOLDER}/../../evil", b"x"),
        cifar_files.member(f"{FOLDER}/link", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        cifar_files.member(f"{FOLDER}/device", type=tarfile.CHRTYPE),
        cifar_files.member("data_batch_1.bin", b"of another folder"),
    ]
    assert read(cifar_files.tar_gz([*strangers, *MEMBERS])) == WHOLE
    assert [entry.name for entry in tmp_path.iterdir()] == ["in"]
    assert list((tmp_path / "in").iterdir()) == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_a_known_name_that_is_no_plain_file_is_refused(kind: bytes) -> None:
    link = cifar_files.member(LAST, type=kind, linkname=f"{FOLDER}/data_batch_2.bin")
    with pytest.raises(DataError, match=r"data_batch_1\.bin is not a plain file"):
        read(cifar_files.tar_gz(replaced(LAST, link)))


def test_a_missing_member_is_named() -> None:
    with pytest.raises(DataError, match=r"lacks cifar-10-batches-bin/data_batch_1\.bin"):
        read(cifar_files.tar_gz(replaced(LAST)))


def giant(name: str) -> bytes:
    """Return an archive in which the member called `name` claims 10 GB, and 300 MB of zeros follow."""
    info, _ = cifar_files.member(name, size=10_000_000_000)
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=1) as zipped:
        zipped.write(info.tobuf())
        for _ in range(300):
            zipped.write(bytes(1 << 20))
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "message"), [(LAST, "claims 10,000,000,000 bytes"), ("stranger", "unpacks to far more")]
)
def test_a_giant_member_is_refused_in_little_memory_and_time(name: str, message: str) -> None:
    data = giant(name)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=message):
            read(data)
        assert tracemalloc.get_traced_memory()[1] < 24 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_giant_header_is_refused_in_little_memory(kind: bytes) -> None:
    info, _ = cifar_files.member("header", type=kind, size=200 << 20)
    data = gzip.compress(info.tobuf() + bytes(200 << 20), compresslevel=1)
    tracemalloc.start()
    try:
        with pytest.raises(DataError):
            read(data)
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()


def test_a_known_member_with_more_than_its_images_is_refused() -> None:
    content = {info.name: data for info, data in MEMBERS}[LAST]
    with pytest.raises(DataError, match=r"claims 61,461 bytes, 61,460 is the most"):
        read(cifar_files.tar_gz(replaced(LAST, cifar_files.member(LAST, content + b"\0"))))


def test_every_truncation_is_a_data_error() -> None:
    data = cifar_files.tar_gz(MEMBERS)
    # The end holds only padding and the page, which is not read.
    for length in [*range(60), *range(60, len(data) * 9 // 10, 9973)]:
        with pytest.raises(DataError):
            read(data[:length])


def test_random_damage_gives_the_images_or_a_data_error() -> None:
    data = bytearray(cifar_files.tar_gz(MEMBERS))
    for position in [*range(700), *range(700, len(data), 7919)]:
        damaged = bytearray(data)
        damaged[position] ^= 0x55
        try:
            assert len(read(bytes(damaged))) == len(WHOLE)
        except DataError:
            continue


def test_a_plain_tar_and_a_page_are_data_errors() -> None:
    for data in (b"", b"<html></html>", gzip.compress(b""), gzip.compress(b"<html>" * 999), bytes(10240)):
        with pytest.raises(DataError):
            read(data)


def test_a_malicious_pickle_in_an_archive_runs_nothing(tmp_path: Path) -> None:
    layout = FAMILY.layouts[0]
    name = f"{layout.folder}/data_batch_1"
    evil = cifar_files.member(name, f"cos\nsystem\n(S'touch {tmp_path / 'canary'}'\ntR.".encode())
    members = [evil if info.name == name else (info, data)
               for info, data in cifar_files.archive_members(FAMILY, layout)]  # fmt: skip
    with pytest.raises(DataError, match=r"data_batch_1 asks for 'os\.system'"):
        read(cifar_files.tar_gz(members), layout=layout)
    assert list(tmp_path.iterdir()) == []
