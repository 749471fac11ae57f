"""Commands that look at the loss surfaces around a run's states, and change nothing of it: landscape, sharpness."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from fewepochs.api import landscapes
from fewepochs.cli import measuring, options, output, tables

SeedOption = Annotated[int, typer.Option("--seed", help="Of the drawn images, directions and start vectors.")]
ImagesOption = Annotated[int, typer.Option("--images", help="At most so many images of each part, drawn by name.")]


def landscape(
    run: measuring.RunArgument,
    along: Annotated[
        list[str] | None,
        typer.Option("--along", help="between, principal, gradient or random; repeatable; default: all."),
    ] = None,
    epochs: Annotated[
        str | None,
        typer.Option("--epochs", help="One or two epochs to compare: 8,12; default: before and after the drop."),
    ] = None,
    points: Annotated[int, typer.Option("--points", help="Points of a line.")] = 25,
    grid: Annotated[int, typer.Option("--grid", help="Points of a plane's side; 0: no plane.")] = 15,
    images: ImagesOption = 500,
    statistics: Annotated[
        str, typer.Option("--statistics", help="BN at each point: recomputed, or stored (wrong away from the state).")
    ] = "recomputed",
    span: Annotated[float, typer.Option("--span", help="Half length of random lines, in filters' norms.")] = 1.0,
    gradient_span: Annotated[
        float, typer.Option("--gradient-span", help="Half length of gradient lines, in the kernels' norm.")
    ] = 0.1,
    seed: SeedOption = 0,
    to: measuring.ToOption = None,
    data: options.DataOption = None,
    device: options.DeviceOption = "auto",
    threads: options.ThreadsOption = None,
    as_csv: tables.CsvOption = False,
    as_markdown: tables.MarkdownOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Slices of training and validation loss: how far one is shifted against the other, valley widths, walls."""
    from fewepochs.probes import slices

    form = tables.form(as_csv=as_csv, as_markdown=as_markdown, as_json=as_json)
    options.check_picture(to, data=True)
    kinds: Any = tuple(dict.fromkeys(along)) if along else slices.KINDS  # what is no choice is found out with the rest
    settings = slices.Settings(
        kinds=kinds, points=points, grid=grid, images=images, seed=seed, statistics=statistics,  # type: ignore[arg-type]
        span=span, gradient_span=gradient_span,
    )  # fmt: skip
    found = landscapes.landscape(
        run,
        settings=settings,
        compared=None if epochs is None else options.numbers("--epochs", epochs),
        runtime=landscapes.Runtime(device=device, threads=threads, data=data),
        say=output.say,
    )
    measuring.show(landscapes.landscape_page(found), form=form, to=to)


def sharpness(
    run: measuring.RunArgument,
    epochs: measuring.EpochsOption = None,
    images: ImagesOption = 256,
    statistics: Annotated[
        str,
        typer.Option(
            "--statistics", help="BN: stored, recomputed (on all training images), or batch (as in training)."
        ),
    ] = "stored",
    without_penalty: Annotated[
        bool, typer.Option("--without-penalty", help="Of the cross-entropy alone, without the L2 penalty.")
    ] = False,
    tolerance: Annotated[
        float, typer.Option("--tolerance", help="Lanczos stops at this relative error, measured by the residual.")
    ] = 1e-2,
    steps: Annotated[int, typer.Option("--steps", help="Lanczos stops after so many steps at the latest.")] = 40,
    seed: SeedOption = 0,
    to: measuring.ToOption = None,
    data: options.DataOption = None,
    device: options.DeviceOption = "auto",
    threads: options.ThreadsOption = None,
    as_csv: tables.CsvOption = False,
    as_markdown: tables.MarkdownOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Largest Hessian eigenvalue on training and validation images over a run, against the edge of stability."""
    from fewepochs.probes import edge

    form = tables.form(as_csv=as_csv, as_markdown=as_markdown, as_json=as_json)
    options.check_picture(to, data=True)
    found = landscapes.sharpness(
        run,
        settings=edge.Settings(
            images=images,
            seed=seed,
            statistics=statistics,  # type: ignore[arg-type]
            penalty=not without_penalty,
            tolerance=tolerance,
            most_steps=steps,
        ),
        epochs=None if epochs is None else options.numbers("--epochs", epochs),
        runtime=landscapes.Runtime(device=device, threads=threads, data=data),
        say=output.say,
    )
    measuring.show(landscapes.sharpness_page(found), form=form, to=to)
