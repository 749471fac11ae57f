"""Commands that show what was trained, or what is being trained: show, report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from fewepochs.api import results, showing, training
from fewepochs.cli import ending, options, output

SubjectArgument = Annotated[
    list[Path], typer.Argument(metavar="RUN...|STUDY", help="Run folders, folders of run folders, or one study file.")
]
IntervalOption = Annotated[
    float, typer.Option("--interval", metavar="SECONDS", help="With --watch or --serve, between two looks.")
]


def show(
    subject: SubjectArgument,
    out: options.OutOption = Path("runs"),
    target: options.TargetOption = None,
    watch: Annotated[bool, typer.Option("--watch", help="Go on looking until nothing is at work.")] = False,
    interval: IntervalOption = 2.0,
    as_json: options.JsonOption = False,
) -> None:
    """Print crossings, best accuracy and cost of runs, or where a study stands and what it has found."""
    targets = _targets(subject, target)
    _check_interval(interval)
    if not watch:
        _print(showing.load(subject, out=out), targets=targets, as_json=as_json)
        return
    from fewepochs.api import pace
    from fewepochs.report import watching
    from fewepochs.train import interrupt

    seen: showing.Shown | None = None
    idle = max(showing.IDLE_LOOKS, math.ceil(showing.IDLE_SECONDS / interval))
    clock = pace.Pace(interval)
    with interrupt.catching(clock) as caught, watching.view(as_json=as_json) as view:
        for seen in showing.Watch(subject, out, clock.wait, idle, view.say).looks():
            view.look(seen.runs, planned=seen.planned)
    if seen is not None and not as_json:
        _print(seen, targets=targets, as_json=False)
    ending.leave_if_stopped(caught.signal)


def _print(seen: showing.Shown, *, targets: Sequence[float], as_json: bool) -> None:
    if seen.planned is None:
        ending.print_summary(seen.runs, targets=targets, form="json" if as_json else "text")
        if not as_json:
            _print_costs(seen.runs, targets=targets)
        return
    from fewepochs.report import comparison_console, study_console, study_numbers

    if as_json:
        output.print_json({**study_numbers.build(seen.planned), "answer": seen.found})
        return
    told = study_console.plan_lines(seen.planned)
    if seen.found is not None:
        told += ["", *comparison_console.lines(seen.found)]
    for line in told:
        output.out(line)


def _print_costs(runs: Sequence[Any], *, targets: Sequence[float]) -> None:
    from fewepochs.report import cost_console

    told = cost_console.lines(results.summarise(runs, targets=targets))
    for line in ["", *told] if told else []:
        output.out(line)


def report(
    subject: SubjectArgument,
    to: Annotated[Path, typer.Option("--to", "-o", help="The HTML file to write.")] = Path(training.REPORT),
    out: options.OutOption = Path("runs"),
    target: options.TargetOption = None,
    probe: Annotated[
        list[Path] | None,
        typer.Option(
            "--probe",
            metavar="FILE",
            help="What a probe found: a file that bn-split, gradient-noise, sharpness, landscape or noise wrote with "
            "--json; repeatable.",
        ),
    ] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Serve the page on this machine alone, and renew it while runs go on.")
    ] = False,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="With --serve; 0 takes a free one.")] = 8420,
    as_json: options.JsonOption = False,
) -> None:
    """Write one offline HTML file about runs or a study: the answer, curves, crossings, cost, recipes, environment."""
    targets, probes = _targets(subject, target), tuple(probe or ())
    if serve:
        _serve(subject, out=out, targets=targets, probes=probes, port=port, as_json=as_json)
        return
    seen = showing.load(subject, out=out)
    page = results.report(
        seen.runs,
        to=to,
        targets=targets,
        title=seen.title,
        question=seen.question,
        found=seen.found,
        probes=probes,
    )
    if as_json:
        output.print_json({"report": str(page), **results.summarise(seen.runs, targets=targets)})
    else:
        output.out(str(page))


def _serve(
    subject: list[Path], *, out: Path, targets: Sequence[float], probes: Sequence[Path], port: int, as_json: bool
) -> None:
    """Serve the page until a signal comes."""
    from fewepochs.api import pace, serving
    from fewepochs.train import interrupt

    showing.load(subject, out=out)  # what is wrong with the question is said at once
    results.check_probes(probes)
    clock = pace.Pace(3600.0)
    served = serving.page(subject, out=out, targets=targets, port=port, probes=probes)
    with served as address, interrupt.catching(clock) as caught:
        facts: dict[str, Any] = {"address": address}
        output.print_json(facts) if as_json else output.out(f"{address} (Ctrl-C ends)")
        while clock.wait():
            pass
    ending.leave_if_stopped(caught.signal)


def _targets(subject: Sequence[Path], target: list[float] | None) -> tuple[float, ...]:
    """Return the targets asked for instead of the recipes'; a study's are among its rules."""
    if target and showing.is_study(subject):
        raise options.usage(
            "--target", "a study asks for its own", repr(target[0]), "its run folders instead of its file"
        )
    return options.targets(target)


def _check_interval(interval: float) -> None:
    if not 0 < interval <= 86_400:
        raise options.usage("--interval", "not a time between two looks", str(interval), "seconds, up to a day")
