"""Commands that measure without training a run: lr-range."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from fewepochs import recipe as recipes
from fewepochs.api import probing, training
from fewepochs.cli import ending, options, output

FromOption = Annotated[
    float | None,
    typer.Option("--from", metavar="LR", help="The lowest rate; default: 1e-6 for Adam's kind, 1e-5 for SGD."),
]
UpToOption = Annotated[
    float | None,
    typer.Option("--up-to", metavar="LR", help="The highest rate; default: 1 for Adam's kind, 10 for SGD."),
]


def lr_range(
    recipe: options.RecipeArgument,
    overrides: options.SetOption = None,
    from_lr: FromOption = None,
    up_to_lr: UpToOption = None,
    steps: Annotated[int, typer.Option("--steps", help="Steps of each seed's sweep.")] = 200,
    kind: Annotated[str, typer.Option("--sweep", help="exponential or linear.")] = "exponential",
    seeds: Annotated[str, typer.Option("--seeds", help="One sweep each: 0..4, or 0,3,5.")] = "0..2",
    factor: Annotated[float, typer.Option("--factor", help="Stop at so many times the lowest smoothed loss.")] = 4.0,
    smoothing: Annotated[
        float, typer.Option("--smoothing", help="Width of the smoothing, as part of the sweep.")
    ] = 0.03,
    to: Annotated[
        Path | None, typer.Option("--to", "-o", help="Draw the curves, too: FILE.svg, .png, .pdf or .html.")
    ] = None,
    data: options.DataOption = None,
    download: options.DownloadOption = False,
    device: options.DeviceOption = "auto",
    threads: options.ThreadsOption = None,
    kernels: options.KernelsOption = "auto",
    allow_code: options.AllowCodeOption = None,
    deterministic: options.DeterministicOption = False,
    progress: options.ProgressOption = "auto",
    quiet: options.QuietOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Learning-rate range test: where the loss falls and rises, and what named rules suggest. Not a run."""
    chosen = recipes.load(recipe, overrides=overrides or ())
    sweep = _sweep(chosen, (from_lr, up_to_lr), steps=steps, kind=kind, factor=factor, smoothing=smoothing)
    options.check_picture(to)
    runtime = training.Runtime(
        device=device,
        kernels=kernels,
        threads=threads,
        data=data,
        download=download,
        allow_code=tuple(allow_code or ()),
        deterministic=deterministic,
    )
    swept = [seed for seed in options.seeds(None, seeds) if seed is not None]
    with _view(progress, quiet=quiet) as view:
        measured = probing.lr_range(chosen, sweep=sweep, seeds=swept, runtime=runtime, view=view)
    _conclude(measured, to=to, form=output.form(as_json, progress, quiet=quiet))


def _sweep(
    recipe: recipes.Recipe,
    given: tuple[float | None, float | None],
    *,
    steps: int,
    kind: str,
    factor: float,
    smoothing: float,
) -> Any:
    from fewepochs.probes import sweeps

    both = zip(given, sweeps.default_range(recipe.optimizer), strict=True)
    from_lr, up_to_lr = (usual if lr is None else lr for lr, usual in both)
    # Whether `kind` is one the api finds out, with everything else.
    return sweeps.Sweep(from_lr, up_to_lr, steps, kind, factor, smoothing)  # type: ignore[arg-type]


def _view(choice: str, *, quiet: bool) -> Any:
    from fewepochs.report import sweep_console

    options.check_progress(choice)
    return sweep_console.view("off" if quiet else choice)  # type: ignore[arg-type]


def _conclude(measured: Any, *, to: Path | None, form: output.Form) -> None:
    """Print what was measured, draw it if asked for, and leave with the exit code of the signal if one came."""
    numbers = probing.lr_range_numbers(measured)
    _print(numbers, form=form)
    if to is not None:
        output.say(f"picture: {probing.lr_range_picture(numbers, to=to)}")
    ending.leave_if_incomplete(measured.signal)


def _print(numbers: Mapping[str, Any], *, form: output.Form) -> None:
    if form == "json":
        output.print_json(numbers)
    elif form == "event":
        output.out(json.dumps({"event": "summary", **numbers}))
    else:
        from fewepochs.report import sweeps

        for line in sweeps.lines(numbers):
            output.out(line)
