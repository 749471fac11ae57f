"""The files of other tools, whatever their kind: paths in, curves out.

A file is known by its content and its name, never written to, and remembered by SHA-256; of several event files, that
of their names and contents in order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fewepochs.errors import DataError
from fewepochs.foreign import columns, csv_files, event_files, run
from fewepochs.records import ForeignEpoch

OURS = tuple(columns.ASKED_AS)
"""What columns may be called on the left side of `--column OURS=THEIRS`."""

MAX_CSV_BYTES = 1 << 26


@dataclass(frozen=True)
class Curve:
    """A run as a file tells it: `part` is its value of the column that tells the file's runs apart.

    `not_finite` is the first epoch from which on losses are not finite, to the end; `notes` are for the user.
    """

    kind: run.Kind
    file: str
    sha256: str
    part: str | None
    epochs: tuple[ForeignEpoch, ...]
    notes: tuple[str, ...]
    not_finite: int | None


def read(
    path: Path,
    *,
    kind: run.Kind | None = None,
    columns: Mapping[str, str] | None = None,
    percent: bool = False,
    run_column: str | None = None,
) -> tuple[Curve, ...]:
    """Return the run in the file `path`, or one for each value of its column `run_column`.

    `kind` None is found out. `columns` are names in the file by ours, one of `OURS`. `percent` divides accuracies by
    100. Raises DataError with every problem found.
    """
    asked = columns or {}
    try:
        events = event_files.files(path)
        if kind == "tensorboard" or (kind is None and (events or path.is_dir())):
            return (_of_events(path, events, percent=percent, asked=asked, run_column=run_column),)
        return _of_csv(path, kind=kind, percent=percent, asked=asked, run_column=run_column)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise DataError(f"{path}: a folder, not a CSV file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None


def _of_csv(
    path: Path, *, kind: run.Kind | None, percent: bool, asked: Mapping[str, str], run_column: str | None
) -> tuple[Curve, ...]:
    with path.open("rb") as file:
        content = file.read(MAX_CSV_BYTES + 1)
    if len(content) > MAX_CSV_BYTES:
        raise DataError(f"{path}: larger than {MAX_CSV_BYTES:,} bytes: not the curve of a run")
    table = csv_files.parse(content, source=str(path))
    keras = kind == "keras-csv" or (kind is None and csv_files.is_keras(table))
    found = csv_files.read(table, source=str(path), keras=keras, percent=percent, asked=asked, run_column=run_column)
    digest = hashlib.sha256(content).hexdigest()
    named: run.Kind = "keras-csv" if keras else "csv"
    return tuple(
        Curve(named, _name(path), digest, part, one.epochs, one.notes, one.not_finite) for part, one in found.items()
    )


def _of_events(
    path: Path,
    events: tuple[tuple[str, Path], ...],
    *,
    percent: bool,
    asked: Mapping[str, str],
    run_column: str | None,
) -> Curve:
    if run_column is not None:
        raise DataError(f"{path}: event files have no column {run_column}; runs lie in folders of their own")
    path.stat()  # one that is not there is no folder without events
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        raise DataError(f"{path}: event files are read by tensorboard: pip install 'fewepochs[tensorboard]'") from None
    one = event_files.read(path, source=str(path), percent=percent, asked=asked)
    digest = hashlib.sha256()
    for prefix, file in events:
        with file.open("rb") as content:
            inner = hashlib.file_digest(content, "sha256").hexdigest()
        digest.update(f"{prefix}{file.name}\0{inner}\n".encode())
    return Curve("tensorboard", _name(path), digest.hexdigest(), None, one.epochs, one.notes, one.not_finite)


def _name(path: Path) -> str:
    """Return the name of `path` without the folder that it lies in; of ".", the folder's own."""
    return path.resolve().name
