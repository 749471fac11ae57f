"""Commands about studies: study plan, study run, study answer."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fewepochs import errors
from fewepochs.api import results, studies, training
from fewepochs.cli import ending, options, output

if TYPE_CHECKING:
    from fewepochs.report import study_console
    from fewepochs.study import conduct, on_ray
    from fewepochs.study import plan as plans

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A study file (TOML); see docs/studies.md.")]

CellsOption = Annotated[str | None, typer.Option("--cells", help="Some cells only, by number from 0: 3, 0..4 or 0,7.")]
StallOption = Annotated[
    float, typer.Option("--stall-minutes", help="End a cell that shows no sign of life for so long.")
]
RayOption = Annotated[
    str | None,
    typer.Option("--ray", metavar="ADDRESS", help="On this Ray cluster: auto, or HOST:PORT of its head."),
]
CpusOption = Annotated[
    float | None, typer.Option("--cpus-per-cell", help="With --ray: CPUs that a cell takes; default: its threads.")
]
GpusOption = Annotated[
    float, typer.Option("--gpus-per-cell", help="With --ray: GPUs that a cell takes, e.g. 0.25; default: none.")
]


study_app = typer.Typer(
    help="Many runs, one question: plan a study, carry it out, read its answer.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@study_app.command()
def plan(file: FileArgument, out: options.OutOption = Path("runs"), as_json: options.JsonOption = False) -> None:
    """Show the cells of a study: done, missing, failed, and what the rest will cost."""
    from fewepochs.report import study_console, study_numbers
    from fewepochs.study import local

    planned = studies.plan(file, out=out)
    if as_json:
        output.print_json(study_numbers.build(planned))
        return
    for line in study_console.plan_lines(planned, jobs=local.cores()):
        output.out(line)


@study_app.command()
def run(
    file: FileArgument,
    out: options.OutOption = Path("runs"),
    jobs: options.JobsOption = None,
    cells: CellsOption = None,
    retries: Annotated[int, typer.Option("--retries", min=0, help="Begin a crashed cell so often again.")] = 2,
    stall_minutes: StallOption = 60.0,
    ray: RayOption = None,
    cpus_per_cell: CpusOption = None,
    gpus_per_cell: GpusOption = 0.0,
    data: options.DataOption = None,
    download: options.DownloadOption = False,
    device: options.DeviceOption = "auto",
    threads: options.ThreadsOption = None,
    kernels: options.KernelsOption = "auto",
    graphs: options.GraphsOption = "auto",
    allow_code: options.AllowCodeOption = None,
    deterministic: options.DeterministicOption = False,
    checkpoint_minutes: options.CheckpointOption = 10.0,
    strict: options.StrictOption = False,
    snapshots: options.SnapshotsOption = "",
    evaluate_every: options.EvaluateOption = None,
    progress: options.ProgressOption = "auto",
    quiet: options.QuietOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Train what is missing of a study, then print its answer; the same command goes on after anything."""
    runtime = training.Runtime(
        device=device, kernels=kernels, graphs=graphs, threads=threads, data=data, download=download, strict=strict,
        allow_code=tuple(allow_code or ()), deterministic=deterministic, checkpoint_minutes=checkpoint_minutes,
        snapshots=snapshots, evaluate_every=evaluate_every,
    )  # fmt: skip
    with _view(progress, quiet=quiet, stall_minutes=stall_minutes) as view:
        done = studies.run(
            file,
            out=out,
            runtime=runtime,
            jobs=jobs,
            only=None if cells is None else options.numbers("--cells", cells),
            retries=retries,
            stall_minutes=stall_minutes,
            cluster=_cluster(ray, cpus=cpus_per_cell, gpus=gpus_per_cell),
            view=view,
        )
    _conclude(done, as_json=as_json)


def _view(progress: str, *, quiet: bool, stall_minutes: float) -> AbstractContextManager[study_console.View]:
    view = output.study_view(progress, quiet=quiet)
    if not stall_minutes > 0:
        raise options.usage("--stall-minutes", "not a length of time", str(stall_minutes), "more than 0 minutes")
    return view


def _conclude(done: conduct.Conducted, *, as_json: bool) -> None:
    """Print what was found, and leave with what was the matter, if anything was."""
    ending.leave_if_stopped(done.signal)
    if any(run.epochs for run in done.plan.runs()):
        _print(done.plan, as_json=as_json)
    if failed := [one for one in done.plan.standings if one.state == "failed"]:
        raise errors.StudyError(ending.failures(done.plan, failed))


def _cluster(address: str | None, *, cpus: float | None, gpus: float) -> on_ray.Cluster | None:
    """Return the cluster that the options name, None where they name none."""
    from fewepochs.study import on_ray

    for option, share, least in (("--cpus-per-cell", cpus, 0.01), ("--gpus-per-cell", gpus, 0.0)):
        if share is not None and not least <= share < 1e6:
            raise options.usage(option, "not a share of a machine", str(share), f"{least:g} or more")
        if share and address is None:
            raise options.usage(option, "speaks of a cluster", str(share), "with --ray ADDRESS")
    return None if address is None else on_ray.Cluster(address, cpus=cpus, gpus=gpus)


@study_app.command()
def answer(
    file: FileArgument,
    out: options.OutOption = Path("runs"),
    to: Annotated[
        Path | None, typer.Option("--to", "-o", help="Also draw it: a .svg, .png, .pdf or .html file to write.")
    ] = None,
    as_json: options.JsonOption = False,
) -> None:
    """Say what a study found, by the rules fixed before it began; cells that are not done are censored."""
    options.check_picture(to)
    found = _print(studies.plan(file, out=out), as_json=as_json)
    if to is not None:
        output.say(f"picture: {results.comparison_picture(found, to=to)}")


def _print(planned: plans.Plan, *, as_json: bool) -> dict[str, Any]:
    found = studies.answer(planned)
    if as_json:
        output.print_json(found)
        return found
    from fewepochs.report import comparison_console

    if planned.study.question:
        output.out(planned.study.question)
        output.out("")
    for line in comparison_console.lines(found):
        output.out(line)
    return found
