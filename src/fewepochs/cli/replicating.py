"""The command that holds published claims against runs: replicate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fewepochs import store
from fewepochs.api import results, training
from fewepochs.cli import ending, options, output

if TYPE_CHECKING:
    from fewepochs.claims import catalogue

ClaimArgument = Annotated[
    str | None, typer.Argument(metavar="CLAIM", help="A claim's name; without one, all claims are listed.")
]
RunsArgument = Annotated[
    list[Path] | None, typer.Argument(metavar="RUN...", help="Run folders, or folders of run folders.")
]


def replicate(
    claim: ClaimArgument = None,
    runs: RunsArgument = None,
    train: Annotated[bool, typer.Option("--run", help="Train the runs that the claim needs, then judge it.")] = False,
    seeds: Annotated[str | None, typer.Option("--seeds", help="With --run: the seeds; default: 0..4.")] = None,
    out: options.OutOption = Path("runs"),
    data: options.DataOption = None,
    device: options.DeviceOption = "auto",
    threads: options.ThreadsOption = None,
    kernels: options.KernelsOption = "auto",
    progress: options.ProgressOption = "auto",
    quiet: options.QuietOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Is a published claim borne out? Lists the claims, or says of one: reproduced, not reproduced, not testable."""
    from fewepochs.claims import catalogue
    from fewepochs.report import replication_console

    numbers = options.numbers("--seeds", seeds or "0..4")
    if seeds is not None and not train:
        raise options.usage("--seeds", "are those to be trained", seeds, "--run --seeds 0..4")
    if claim is None:
        if train:
            raise options.usage("--run", "trains what one claim needs", "no claim", "a claim's name before it")
        listed = results.claims()
        output.print_json(listed) if as_json else _print(replication_console.listing(listed))
        return
    chosen = catalogue.find(claim)
    stored = list(results.load_runs(runs)) if runs else []
    if train:
        runtime = training.Runtime(device=device, threads=threads, kernels=kernels, data=data)
        stored += train_all(chosen, numbers, out=out, runtime=runtime, progress=progress, quiet=quiet)
    found = results.replicate(claim, stored)
    output.print_json(found) if as_json else _print(replication_console.lines(found))


def train_all(
    claim: catalogue.Claim, seeds: Sequence[int], *, out: Path, runtime: training.Runtime, progress: str, quiet: bool
) -> list[store.StoredRun]:
    """Train each seed of each of the claim's experiments in turn; leave as `train` does where a signal comes."""
    from fewepochs.claims import catalogue

    outcomes: list[training.Outcome] = []
    with output.view(progress, quiet=quiet, verbose=False) as view:
        for experiment in catalogue.experiments(claim):
            for seed in seeds:
                recipe = experiment.load().model_copy(update={"seed": seed})
                outcomes.append(training.train(recipe, out=out, runtime=runtime, view=view))
                if outcomes[-1].signal is not None:
                    ending.conclude(outcomes, require_target=None, form="text")
    return [outcome.run for outcome in outcomes]


def _print(lines: Sequence[str]) -> None:
    for line in lines:
        output.out(line)
