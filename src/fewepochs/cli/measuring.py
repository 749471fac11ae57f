"""Commands that look at the states a run keeps, and change nothing of it: bn-split, gradient-noise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fewepochs.api import measuring
from fewepochs.cli import options, output, tables

if TYPE_CHECKING:
    from fewepochs.report import table_text

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder that keeps states (--snapshots).")]
EpochsOption = Annotated[
    str | None, typer.Option("--epochs", help="Only after these epochs: 0..9, or 1,5,10; default: all that are kept.")
]
ToOption = Annotated[
    Path | None, typer.Option("--to", "-o", help="Draw it, too: FILE.svg, .png, .pdf, .html, .csv or .json.")
]
BatchOption = Annotated[int | None, typer.Option("--batch-size", min=2, help="Of a batch; default: the recipe's.")]


def bn_split(
    run: RunArgument,
    epochs: EpochsOption = None,
    augmented: Annotated[
        bool, typer.Option("--augmented", help="Recompute on training images as the recipe augments them.")
    ] = False,
    batch_size: BatchOption = None,
    to: ToOption = None,
    data: options.DataOption = None,
    device: options.DeviceOption = "auto",
    threads: options.ThreadsOption = None,
    kernels: options.KernelsOption = "auto",
    as_csv: tables.CsvOption = False,
    as_markdown: tables.MarkdownOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Val_loss of the same weights under moving, recomputed and batch statistics: what of a spike is stale BN?"""
    form = tables.form(as_csv=as_csv, as_markdown=as_markdown, as_json=as_json)
    found = measuring.bn_split(
        run,
        epochs=_epochs(epochs, to=to),
        augmented=augmented,
        batch_size=batch_size,
        runtime=measuring.Runtime(device=device, threads=threads, kernels=kernels, data=data),
        say=output.say,
    )
    show(measuring.bn_split_page(run, found, augmented=augmented, batch_size=batch_size), form=form, to=to)


def gradient_noise(
    run: RunArgument,
    epochs: EpochsOption = None,
    images: Annotated[
        int | None, typer.Option("--images", help="Images forward and backward for each state; default: 8192.")
    ] = None,
    batch_size: BatchOption = None,
    layers: Annotated[bool, typer.Option("--layers", help="By layer, too; printed for the last state.")] = False,
    to: ToOption = None,
    data: options.DataOption = None,
    device: options.DeviceOption = "auto",
    threads: options.ThreadsOption = None,
    kernels: options.KernelsOption = "auto",
    as_csv: tables.CsvOption = False,
    as_markdown: tables.MarkdownOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Gradient noise scale over a run: at which batch size noise and gradient are alike (McCandlish et al. 2018)."""
    form = tables.form(as_csv=as_csv, as_markdown=as_markdown, as_json=as_json)
    found = measuring.gradient_noise(
        run,
        epochs=_epochs(epochs, to=to),
        images=images,
        batch_size=batch_size,
        runtime=measuring.Runtime(device=device, threads=threads, kernels=kernels, data=data),
        say=output.say,
    )
    show(measuring.gradient_noise_page(run, found, layers=layers), form=form, to=to)


def show(page: table_text.Page, *, form: tables.Form, to: Path | None) -> None:
    """Print what a probe found, and draw it where that is asked for."""
    tables.print_page(page, form=form)
    if to is None:
        return
    from fewepochs.report import picture

    figure = measuring.figure(page)
    if figure is None:
        output.say("no picture: nowhere is the gradient told from its noise")
        return
    picture.write(to, figure)
    output.say(f"picture: {to}")


def _epochs(text: str | None, *, to: Path | None) -> list[int] | None:
    options.check_picture(to, data=True)
    return None if text is None else options.numbers("--epochs", text)
