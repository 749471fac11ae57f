"""What probes found, read from the files that their commands wrote with --json, and what the report makes of it.

    fewepochs bn-split RUN --json > split.json
    fewepochs report RUN --probe split.json

A command draws from the same document (`of`), so that the figure of a page is the one that `--to` writes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, assert_never, get_args

from pydantic import Field, TypeAdapter, ValidationError

from fewepochs import problems
from fewepochs.errors import Problem, RecipeError, StorageError
from fewepochs.report import (
    bn_split,
    figures,
    gradient_noise,
    landscape,
    landscape_figure,
    noise_form,
    noise_law_figure,
    noise_tables,
    probed,
    sharpness,
    table_text,
)
from fewepochs.report.landscape_form import Landscape

Finding = bn_split.BnSplit | gradient_noise.GradientNoise | sharpness.Sharpness | Landscape | noise_form.Noise
Kind = Literal["bn-split", "gradient-noise", "sharpness", "landscape", "noise"]
KINDS: tuple[Kind, ...] = get_args(Kind)

MOST_BYTES = 1 << 26
MOST_PROBLEMS = 5

_FORM: TypeAdapter[Finding] = TypeAdapter(Annotated[Finding, Field(discriminator="probe")])


def of(page: table_text.Page) -> Finding:
    """Return what a probe's tables say, as it will be read from their JSON."""
    return _FORM.validate_json(json.dumps(page.as_dict()))


def read(path: Path) -> Finding:
    """Return what a probe's file says. Raises StorageError where it cannot be read, RecipeError where it is no such."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror or error}; {_ADVICE}") from None
    if len(content) > MOST_BYTES:
        raise _wrong(path, Problem("(file)", f"larger than {MOST_BYTES:,} bytes: not what a probe found; {_ADVICE}"))
    try:
        _check_kind(path, json.loads(content))
        return _FORM.validate_json(content)
    except (ValueError, RecursionError) as error:
        if isinstance(error, ValidationError):
            raise _wrong(path, *_problems(error)) from None
        raise _wrong(path, Problem("(file)", f"not JSON; {_ADVICE}")) from None


def gradient_noise_in(path: Path) -> gradient_noise.GradientNoise:
    """Return what `fewepochs gradient-noise` wrote into a file. Raises as `read`, and RecipeError for another probe."""
    found = read(path)
    if not isinstance(found, gradient_noise.GradientNoise):
        raise _wrong(path, Problem("probe", "another probe", repr(found.probe), "gradient-noise"))
    return found


def figure(finding: Finding) -> figures.Figure | None:
    """Return the figure of what was found; None where there is nothing to draw."""
    match finding:
        case bn_split.BnSplit():
            return bn_split.figure(finding)
        case gradient_noise.GradientNoise():
            return gradient_noise.figure(finding)
        case sharpness.Sharpness():
            return sharpness.figure(finding)
        case Landscape():
            return landscape_figure.figure(finding)
        case noise_form.Noise():
            return noise_law_figure.figure(finding)
        case unknown:
            assert_never(unknown)


def sentences(finding: Finding) -> list[str]:
    """Return in plain sentences what is to be seen, from the numbers."""
    match finding:
        case bn_split.BnSplit():
            return list(bn_split.sentences(finding))
        case gradient_noise.GradientNoise():
            return list(gradient_noise.sentences(finding))
        case sharpness.Sharpness():
            return list(sharpness.sentences(finding))
        case Landscape():
            return list(landscape.sentences(finding))
        case noise_form.Noise():
            return list(noise_tables.sentences(finding))
        case unknown:
            assert_never(unknown)


# --- what a file has to be ----------------------------------------------------------------------------------------

_ADVICE = "make it with fewepochs bn-split RUN --json > FILE, or gradient-noise, sharpness, landscape, noise"


def _check_kind(path: Path, document: object) -> None:
    """Raise RecipeError unless `document` is of a probe, in the format that is read here."""
    if not isinstance(document, dict):
        raise _wrong(path, Problem("(file)", f"not what a probe prints; {_ADVICE}"))
    kind = document.get("probe", document.get("table"))
    if kind not in KINDS:
        got = problems.shown(kind) if kind is not None else None
        raise _wrong(path, Problem("probe", f"not what a probe prints; {_ADVICE}", got, ", ".join(KINDS)))
    again = f"make it again with fewepochs {kind} RUN --json > FILE"
    if "probe" not in document:
        raise _wrong(path, Problem("probe", f"missing: printed by a fewepochs before probes had reports; {again}"))
    if document.get("format") != probed.FORMAT:
        got = problems.shown(document.get("format"))
        raise _wrong(path, Problem("format", f"another format than is read here; {again}", got, str(probed.FORMAT)))


def _problems(error: ValidationError) -> Iterator[Problem]:
    entries = error.errors(include_url=False)
    for entry in entries[:MOST_PROBLEMS]:
        field = ".".join(map(str, entry["loc"][1:])) or "(file)"  # the first is the probe
        yield Problem(field, entry["msg"][:1].lower() + entry["msg"][1:], problems.shown(entry["input"]))
    if len(entries) > MOST_PROBLEMS:
        yield Problem("(file)", f"and {len(entries) - MOST_PROBLEMS} problems more")


def _wrong(path: Path, *found: Problem) -> RecipeError:
    return RecipeError(str(path), found)
