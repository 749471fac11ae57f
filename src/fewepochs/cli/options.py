"""Options and arguments that commands share, and the checks of what typer takes for words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from fewepochs import errors

RecipeArgument = Annotated[str, typer.Argument(metavar="RECIPE", help="A shipped recipe's name, or a TOML file.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="""Override, e.g. optimizer.lr=1e-3, or a whole part: 'schedule={kind="constant"}'. Repeatable.""",
    ),
]
OutOption = Annotated[Path, typer.Option("--out", help="The folder that run folders lie in.")]
DataOption = Annotated[
    Path | None, typer.Option("--data", help="Where the data set lies: a folder, an archive, or an .npz file.")
]
DownloadOption = Annotated[bool, typer.Option("--download", help="Download the data set if it is nowhere to be found.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:0, ...")]
KernelsOption = Annotated[
    str, typer.Option("--kernels", help="auto, fused (for a CPU), inductor (compiled by torch), or torch.")
]
GraphsOption = Annotated[
    str, typer.Option("--graphs", help="auto, on or off: replay steps as CUDA graphs. Changes no result.")
]
AllowCodeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-code",
        metavar="MODULE",
        help="Let a recipe's optimizer come from this package or module (kind = python). Repeatable.",
    ),
]
DeterministicOption = Annotated[
    bool, typer.Option("--deterministic", help="Let CUDA repeat its bits, at a price; a CPU always does.")
]
CheckpointOption = Annotated[
    float, typer.Option("--checkpoint-minutes", help="A checkpoint in mid-epoch after so many minutes without one.")
]
SnapshotsOption = Annotated[
    str,
    typer.Option(
        "--snapshots",
        metavar="EPOCHS",
        help="Keep the state after these epochs, for probes to look at: every:5, or 1,5,10. Changes no result.",
    ),
]
EvaluateOption = Annotated[
    int | None,
    typer.Option(
        "--evaluate-every", metavar="STEPS", help="Also evaluate after each so many steps; see docs/noise.md."
    ),
]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Refuse to go on with a run where its bits may not repeat.")
]
ThreadsOption = Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads; default: torch's choice.")]
ProgressOption = Annotated[str, typer.Option("--progress", help="auto, rich, plain, json or off.")]
QuietOption = Annotated[bool, typer.Option("-q", "--quiet", help="No progress (as --progress off).")]
VerboseOption = Annotated[bool, typer.Option("-v", "--verbose", help="On resume, print the epochs done so far, too.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print data as JSON.")]
TargetOption = Annotated[
    list[float] | None,
    typer.Option("--target", help="A target val_acc, e.g. 0.92, instead of the recipes'. Repeatable."),
]
StopOption = Annotated[
    float | None, typer.Option("--stop-at-target", help="Stop after the first epoch with this val_acc.")
]
RequireOption = Annotated[
    float | None, typer.Option("--require-target", help="Exit 10 unless this val_acc is reached.")
]
JobsOption = Annotated[
    int | None, typer.Option("--jobs", min=1, help="So many runs at a time; default: one a core, or one a GPU.")
]
RunsArgument = Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders, or folders of run folders.")]


def seeds(seed: int | None, several: str | None) -> list[int | None]:
    """Return the seeds to train with; [None] means the recipe's own."""
    if several is None:
        return [seed]
    if seed is not None:
        raise usage("--seeds", "cannot stand beside --seed", several, "one of the two")
    return list(numbers("--seeds", several))


def processes(text: str) -> int | None:
    """Return how many processes `text` asks for, None for as many as suit the machine."""
    if text == "auto":
        return None
    if re.fullmatch(r"[1-9]\d{0,3}", text):
        return int(text)
    raise usage("--pack", "not a number of processes", text, "auto, or 1 to 9999")


def numbers(option: str, text: str) -> list[int]:
    """Return the whole numbers that `text` names: 0..9, or 0,3,5; each once."""
    span = re.fullmatch(r"(\d{1,18})\.\.(\d{1,18})", text)
    if span is not None and int(span[1]) <= int(span[2]) < int(span[1]) + 10_000:
        return list(range(int(span[1]), int(span[2]) + 1))
    if re.fullmatch(r"\d{1,18}(,\d{1,18})*", text):
        return list(dict.fromkeys(int(one) for one in text.split(",")))
    raise usage(option, "not a set of whole numbers", text, "0..9, or 0,3,5")


def targets(given: Sequence[float] | None) -> tuple[float, ...]:
    """Return the targets asked for, fractions in (0, 1]. Raises RecipeError for others."""
    for target in given or ():
        check_accuracies({"--target": target})
    return tuple(given or ())


def check_choice(option: str, value: str, *, allowed: tuple[str, ...]) -> None:
    """Raise RecipeError unless `value` is one of the words `allowed`."""
    if value not in allowed:
        raise usage(option, "not a known choice", value, ", ".join(allowed))


def check_accuracies(given: Mapping[str, float | None]) -> None:
    """Raise RecipeError unless all that was given, by option, are fractions in (0, 1]."""
    for option, accuracy in given.items():
        if accuracy is not None and not 0 < accuracy <= 1:
            raise usage(option, "not an accuracy", str(accuracy), "a fraction above 0, at most 1")


def check_progress(choice: str) -> None:
    """Raise RecipeError for a kind of progress that there is not."""
    if choice not in ("auto", "rich", "plain", "json", "off"):
        raise usage("--progress", "not a kind of progress", choice, "auto, rich, plain, json, off")


def check_picture(to: Path | None, *, option: str = "--to", data: bool = False) -> None:
    """Refuse a picture that cannot be drawn before anything is measured; `data` allows .csv and .json."""
    if to is not None:
        from fewepochs.report import picture

        picture.check(to, option=option, data=data)


def usage(field: str, message: str, value: str, allowed: str) -> errors.RecipeError:
    """Return the error of a command line that cannot be meant: exit code 2, as for a recipe."""
    return errors.RecipeError("command line", (errors.Problem(field, message, repr(value), allowed),))
