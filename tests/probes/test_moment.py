"""Moments: the run as it stood, which can be looked at and is left as it was."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import kept_runs
import pytest
import tiny_runs
import torch

from fewepochs import errors, store
from fewepochs.probes import moment as moments
from fewepochs.probes.moment import Moment
from fewepochs.train import checkpoint
from run_folders import contents


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> store.StoredRun:
    return kept_runs.train(tmp_path_factory.mktemp("moments") / "run", keep=(1, 2))


def at_end(run: store.StoredRun) -> Moment:
    return list(moments.moments(run, bench=kept_runs.bench(run)))[-1]


def test_moments_come_in_rising_order_out_of_snapshots_the_newest_and_the_best(run: store.StoredRun) -> None:
    found = list(moments.moments(run, bench=kept_runs.bench(run)))
    assert [(one.epoch, one.steps, one.path.name) for one in found] == [
        (1, 8, "epoch-0001.ckpt"),
        (2, 16, "epoch-0002.ckpt"),
        (3, 24, "step-000000024.ckpt"),
    ]
    assert [one.record for one in found] == list(run.own_epochs)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float64"])
def test_its_score_is_the_runs_own_bit_for_bit(precision: str, tmp_path: Path) -> None:
    run = kept_runs.train(tmp_path / "run", f"precision={precision}", "label_smoothing=0.1")
    bench = kept_runs.bench(run)
    for moment in moments.moments(run, bench=bench):
        score = moment.score(bench.data.validation)
        assert moment.record is not None
        assert (score.loss, score.accuracy) == (moment.record.val_loss, moment.record.val_acc)
        assert score.penalty == moment.record.penalty > 0
        assert score.images == tiny_runs.TEST


def test_looking_leaves_the_folder_and_the_state_as_they_were(run: store.StoredRun) -> None:
    before, bench = contents(run.path), kept_runs.bench(run)
    moment = at_end(run)
    state = {name: tensor.clone() for name, tensor in moment.program.state().items()}
    moment.score(bench.data.validation)
    x, labels = moment.batch(bench.data.train, slice(0, 16))
    moment.gradient(x, labels, training=True, penalty=True)
    with moment.at(weights=torch.zeros_like(moment.weights), statistics=moment.statistics + 1.0):
        assert moment.score(bench.data.validation).penalty == 0.0
    for name, tensor in moment.program.state().items():
        assert torch.equal(tensor, state[name]), name
    assert contents(run.path) == before


def test_it_has_the_weights_and_statistics_of_its_file(run: store.StoredRun) -> None:
    for moment in moments.moments(run, bench=kept_runs.bench(run)):
        saved = checkpoint.load(moment.path).tensors
        assert torch.equal(moment.weights, saved["weights"])
        assert torch.equal(moment.statistics, saved["statistics"])
        assert moment.optimizer.keys() == {n.removeprefix("optimizer.") for n in saved if n.startswith("optimizer.")}


@pytest.mark.parametrize("training", [False, True])
def test_its_gradient_is_that_of_autograd_over_loss_and_penalty(training: bool, run: store.StoredRun) -> None:
    moment, bench = at_end(run), kept_runs.bench(run)
    x, labels = moment.batch(bench.data.train, slice(0, 40))
    found = moment.gradient(x, labels, training=training, penalty=True)
    kernels = [p for name, p in moment.network.named_parameters() if p.dim() == 4]
    loss = moment.program.loss(moment.network(x), labels) + 1e-4 * sum(p.square().sum() for p in kernels)
    slow = moment.program.weights.gather(torch.autograd.grad(loss, moment.program.weights.parameters))
    assert torch.allclose(found, slow, rtol=1e-5, atol=1e-7)
    without = moment.gradient(x, labels, training=training, penalty=False)
    assert torch.allclose(without + moment.program.penalty_gradient(), found)


def test_in_float16_a_gradient_is_not_that_of_the_scaled_loss(tmp_path: Path) -> None:
    run = kept_runs.train(tmp_path / "half", "precision=float16")
    moment, bench = at_end(run), kept_runs.bench(run)
    x, labels = moment.batch(bench.data.train, slice(0, 40))
    wide = at_end(kept_runs.train(tmp_path / "wide"))
    with wide.at(weights=moment.weights, statistics=moment.statistics):
        expected = wide.gradient(wide.batch(bench.data.train, slice(0, 40))[0], labels, training=True, penalty=True)
    found = moment.gradient(x, labels, training=True, penalty=True)
    assert float((found - expected).norm() / expected.norm()) < 0.05


def test_what_is_kept_is_said_where_more_was_asked_for(run: store.StoredRun) -> None:
    bench = kept_runs.bench(run)
    assert [one.epoch for one in moments.moments(run, bench=bench, epochs=(3, 1))] == [1, 3]
    with pytest.raises(errors.CheckpointError, match="no state is kept after epoch 7, only after 1, 2, 3; a run"):
        next(moments.moments(run, bench=bench, epochs=(7, 1)))


def test_a_run_without_a_state_says_how_to_keep_one(run: store.StoredRun, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    for file in (tmp_path / "run" / store.CHECKPOINTS).iterdir():
        file.unlink()
    with pytest.raises(errors.CheckpointError, match="--snapshots every:5"):
        next(moments.moments(store.read(tmp_path / "run"), bench=kept_runs.bench(run)))


def test_other_data_are_refused(run: store.StoredRun) -> None:
    bench = kept_runs.bench(run)
    other = replace(bench, data=replace(bench.data, digest="1" * 64))
    with pytest.raises(errors.DataError, match="the data has changed"):
        next(moments.moments(run, bench=other))


def test_a_drawn_sample_hangs_on_its_name_alone(run: store.StoredRun) -> None:
    train = kept_runs.bench(run).data.train
    first = moments.some(train, 50, seed=0, stream="probe", counters=(1,))
    assert torch.equal(first, moments.some(train, 50, seed=0, stream="probe", counters=(1,)))
    assert torch.equal(first[:20], moments.some(train, 20, seed=0, stream="probe", counters=(1,)))
    assert not torch.equal(first, moments.some(train, 50, seed=0, stream="probe", counters=(2,)))
    assert sorted(moments.some(train, 999, seed=0, stream="probe").tolist()) == list(range(tiny_runs.TRAIN))
