"""The story of a run: what is recorded, what repeats, what is never asked of the device."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable
from typing import Any, Literal

import pytest
import tiny_runs
import torch
import torch.nn.functional as F
from tiny_runs import assert_same_bits, run_to, state
from torch import Tensor

from device_reads import Reads
from fewepochs import errors, schedules
from fewepochs.nets import layers, resnet
from fewepochs.train import checkpoint, loop
from fewepochs.train.sums import Evaluation

VARIANTS = [
    pytest.param((), id="float32"),
    pytest.param(("precision=bfloat16",), id="bfloat16"),
    pytest.param(("precision=float16",), id="float16"),
    pytest.param(("network.dropout=0.3", "data.validation={kind='held-out', images=30}"), id="dropout, held out"),
    pytest.param(("plateau={patience=1, min_delta=10.0}",), id="plateau"),
    pytest.param(("schedule={kind='piecewise-linear', points=[[0, 1], [1, 0]]}", "batch_size=50"), id="linear, tail"),
    pytest.param(("mixing={kind='mixup', alpha=0.4}", "label_smoothing=0.1", "clip_norm=0.5"), id="mixup"),
    pytest.param(("mixing={kind='cutmix', probability=0.7}", "averaging={kind='ema', decay=0.9}"), id="cutmix, ema"),
    pytest.param(
        (
            "augmentation={kind='crop-flip', padding=1, cutout=3, flip='alternating'}",
            "averaging={kind='swa', start=0.3}",
        ),
        id="crop, cutout, swa",
    ),
    pytest.param(
        (
            "schedule={kind='1cycle', momentum=[0.5, 0.9]}",
            "batch_schedule={kind='piecewise-constant', boundaries=[0.4], factors=[1.0, 2.0]}",
        ),
        id="1cycle, growing batch",
    ),
    pytest.param(("network.kind=resnet-v1", "augmentation={kind='none'}", "batch_size=500"), id="v1, one batch"),
]


def variant(overrides: tuple[str, ...]) -> Any:
    if "network.kind=resnet-v1" in overrides:
        overrides = (*overrides[1:], "network={kind='resnet-v1', units=[1, 1], filters=[4, 8]}")
    return tiny_runs.recipe(*overrides)


@pytest.mark.parametrize("overrides", VARIANTS)
def test_no_step_asks_the_device_anything(overrides: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    training = tiny_runs.training(variant(overrides))
    program = training.program
    program.begin_epoch(loop.plan(training, epoch=1), controls=controls(training))
    left, batch_size = len(training.data.train), training.recipe.batch_size
    with Reads.forbidden(monkeypatch, sending=True) as reads:
        while left > 0:
            program.step(min(batch_size, left))
            left -= batch_size
    assert reads.seen == []
    for key, work in program._evaluation(training.data.validation):
        with Reads.forbidden(monkeypatch, sending=True) as reads:
            work()
        assert reads.seen == [], key


def controls(training: loop.Training) -> schedules.Rates:
    return loop._controls(training, epoch=1)


WAITING: list[tuple[Callable[[Tensor], object], str]] = [
    (lambda x: float(x.sum()), "_local_scalar_dense"),
    (lambda x: x[x > 0], "index_by_mask"),
    (lambda x: x.index_put_((x > 0,), torch.zeros(())), "index_by_mask"),
    (lambda x: torch.where(x > 0), "nonzero"),
    (lambda x: x.repeat_interleave(x.long()), "repeat_interleave_without_output_size"),
    (lambda x: x + torch.tensor([1.0, 2.0, 3.0]), "lift_fresh"),
    (lambda x: x.to("meta"), "_to_copy_between_devices"),
]


@pytest.mark.parametrize(("wait", "name"), WAITING, ids=[name for _, name in WAITING])
def test_the_counter_of_reads_sees_what_makes_the_host_wait(wait: Callable[[Tensor], object], name: str) -> None:
    x = torch.ones(3)
    with Reads() as reads:
        wait(x)
    assert set(reads.seen) == {name}


def test_the_counter_of_reads_lets_pass_what_does_not() -> None:
    x, rows = torch.ones(3), torch.tensor([0, 2])
    with Reads() as reads:
        x[rows].repeat_interleave(rows, output_size=2).to(torch.bfloat16)
    assert reads.seen == []


def test_an_epoch_is_read_once_and_an_evaluation_once() -> None:
    training = tiny_runs.training(tiny_runs.recipe("budget.epochs=1"))
    calls = []
    original = torch.Tensor.tolist

    def counted(self: torch.Tensor) -> Any:
        calls.append(self.numel())
        return original(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "tolist", counted)
        tiny_runs.finish(training)
    assert len(calls) == 2


@pytest.mark.parametrize("overrides", VARIANTS)
def test_the_same_recipe_twice_gives_the_same_bits(overrides: tuple[str, ...]) -> None:
    first, second = tiny_runs.training(variant(overrides)), tiny_runs.training(variant(overrides))
    assert tiny_runs.finish(first) == tiny_runs.finish(second)
    assert_same_bits(first, second)


ON_KERNELS = [pytest.param(*one.values, "torch", id=one.id) for one in VARIANTS] + [
    pytest.param((), "fused", id="float32, fused"),
    pytest.param(("precision=bfloat16",), "fused", id="bfloat16, fused"),
]


@pytest.mark.parametrize(("overrides", "kernels"), ON_KERNELS)
def test_resume_repeats_every_bit_from_any_step(
    overrides: tuple[str, ...], kernels: Literal["fused", "torch"], tmp_path: Any
) -> None:
    spec = variant(overrides)
    whole = tiny_runs.training(spec, kernels=kernels)
    expected = list(tiny_runs.finish(whole))
    steps = whole.horizon.epoch_steps[0]
    for stop in sorted({0, 1, steps - 1, steps, steps + steps // 2, 2 * steps}):
        first = tiny_runs.training(spec, kernels=kernels)
        records_before = run_to(first, stop)
        assert first.steps == stop
        path = checkpoint.save(tmp_path, first.snapshot())
        second = tiny_runs.training(spec, kernels=kernels)
        second.restore(checkpoint.load(path))
        assert records_before + list(tiny_runs.finish(second)) == expected
        assert_same_bits(second, whole)


def test_streams_with_their_own_seed_are_shared_and_the_others_are_not() -> None:
    base = tiny_runs.training(tiny_runs.recipe("budget.epochs=1"))
    paired = tiny_runs.training(tiny_runs.recipe("budget.epochs=1", "seed=5", "seeds={init=0}"))
    assert torch.equal(state(base)["weights"], state(paired)["weights"])
    tiny_runs.finish(base)
    tiny_runs.finish(paired)
    assert not torch.equal(state(base)["weights"], state(paired)["weights"])


def test_an_epochs_figures_are_keras_means_over_images() -> None:
    """Slow twin: every batch's loss before its update, weighted by its size, penalty included."""
    spec = tiny_runs.recipe("budget.epochs=1", "batch_size=50", "precision=float64")
    training = tiny_runs.training(spec)
    twin = tiny_runs.training(spec)
    plan = loop.plan(twin, epoch=1)
    program = twin.program
    program.begin_epoch(plan, controls=controls(twin))
    total, correct = 0.0, 0
    for start, size in ((0, 50), (50, 50), (100, 20)):
        rows = torch.arange(start, start + size)
        program.network.train()
        x, y, _ = program._batch(rows)
        logits = program.network(x)
        penalty = 1e-4 * sum(float((w.double() ** 2).sum()) for name, w in kernels(program.network))
        total += (float(F.cross_entropy(logits, y).detach()) + penalty) * size
        correct += int((logits.argmax(1) == y).sum())
        program.step(size)
    [record] = tiny_runs.finish(training)
    assert record.loss == pytest.approx(total / 120, rel=1e-12)
    assert record.acc == correct / 120
    assert record.step == 3
    network = training.program.network.eval()
    data = training.data
    with torch.no_grad():
        logits = network(data.normalise(data.validation.pixels, dtype=torch.float64).permute(0, 3, 1, 2))
    penalty = 1e-4 * sum(float((w.double() ** 2).sum()) for _, w in kernels(network))
    assert record.penalty == pytest.approx(penalty, rel=1e-12)
    assert record.val_loss == pytest.approx(float(F.cross_entropy(logits, data.validation.labels)) + penalty, rel=1e-12)
    assert record.val_acc == int((logits.argmax(1) == data.validation.labels).sum()) / tiny_runs.TEST


def kernels(network: torch.nn.Module) -> list[tuple[str, torch.Tensor]]:
    return [(name, p.detach()) for name, p in network.named_parameters() if p.dim() == 4]


def test_l2_concerns_convolution_kernels_alone() -> None:
    training = tiny_runs.training(tiny_runs.recipe())
    weights = training.program.weights
    assert weights.layout.conv_kernels == sum(w.numel() for _, w in kernels(training.program.network))
    assert isinstance(training.program.network, resnet.ResNet)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_run_that_diverges_stops_before_its_weights_are_spoiled(precision: str) -> None:
    spec = tiny_runs.recipe("optimizer.lr=1e30", f"precision={precision}")
    training = tiny_runs.training(spec)
    with pytest.raises(errors.DivergedError, match=r"not finite at step \d+"):
        tiny_runs.finish(training)
    assert state(training)["weights"].isfinite().all()
    assert state(training)["statistics"].isfinite().all()
    assert all(t.isfinite().all() for name, t in state(training).items() if name.startswith("optimizer."))


@pytest.mark.parametrize("largest", ["regularisation.strength=1e9", "clip_norm=1e9"])
def test_the_largest_penalty_and_the_largest_norm_are_a_run_not_a_traceback(largest: str) -> None:
    with contextlib.suppress(errors.DivergedError):
        tiny_runs.finish(tiny_runs.training(tiny_runs.recipe(largest)))


def test_the_step_that_diverges_is_named_and_everything_stands_still_from_it_on() -> None:
    training = tiny_runs.training(tiny_runs.recipe())
    program = training.program
    program.begin_epoch(loop.plan(training, epoch=1), controls=controls(training))
    program.step(16)
    program.step(16)
    before = state(training)
    mean = training.data.mean
    assert mean is not None
    mean.fill_(math.nan)
    program.step(16)
    mean.fill_(0.0)
    program.step(16)
    after = state(training)
    assert program.totals().diverged_at == 3
    for name in ("weights", "statistics", "optimizer.m", "optimizer.v", "optimizer.t"):
        assert torch.equal(after[name], before[name]), name


def test_validation_that_is_not_finite_is_a_divergence_not_a_traceback() -> None:
    training = tiny_runs.training(tiny_runs.recipe("budget.epochs=1"))
    training.program.statistics.moving[0].fill_(-3e38)  # finite, but not what is made with it
    with pytest.raises(errors.DivergedError, match="validation loss not finite after epoch 1"):
        tiny_runs.finish(training)


@pytest.mark.parametrize("spoiled", [math.nan, math.inf])
def test_a_test_loss_that_is_not_finite_is_absent_and_the_run_goes_on(
    spoiled: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = tiny_runs.training(tiny_runs.recipe("data.validation={kind='held-out', images=20}"))
    real = training.program.evaluate

    def evaluate(*parts: Any, **arguments: Any) -> Evaluation:
        found = real(*parts, **arguments)
        validation, test = found.parts
        return dataclasses.replace(found, parts=(validation, dataclasses.replace(test, loss=spoiled)))

    monkeypatch.setattr(training.program, "evaluate", evaluate)
    found = tiny_runs.finish(training)
    assert [(record.epoch, record.test_loss) for record in found] == [(1, None), (2, None), (3, None)]
    assert all(record.test_acc is not None for record in found)


def test_float16_skips_an_overflowing_step_halves_the_scale_and_goes_on() -> None:
    training = tiny_runs.training(tiny_runs.recipe("precision=float16"))
    program = training.program
    program.begin_epoch(loop.plan(training, epoch=1), controls=controls(training))
    scale = program.state()["loss_scale"]
    assert float(scale) == 2.0**15
    scale.fill_(2.0**40)
    before = state(training)
    program.step(16)
    after = state(training)
    assert float(after["loss_scale"]) == 2.0**39
    assert torch.equal(after["weights"], before["weights"])
    assert float(after["optimizer.t"]) == 0
    assert program.totals().diverged_at is None
    scale.fill_(2.0**10)
    program.step(16)
    assert not torch.equal(state(training)["weights"], before["weights"])


def test_float16_doubles_the_scale_after_2000_finite_steps() -> None:
    training = tiny_runs.training(tiny_runs.recipe("precision=float16"))
    program = training.program
    finite, overflow = torch.tensor(True), torch.tensor(False)
    seen = []
    for ok in [finite] * 1999 + [overflow] + [finite] * 2000 + [finite]:
        program._rescale(ok)
        seen.append(float(program.state()["loss_scale"]))
    assert seen[1998] == 2.0**15
    assert seen[1999] == 2.0**14
    assert seen[3998] == 2.0**14
    assert seen[3999:] == [2.0**15, 2.0**15]


def test_low_precision_follows_float32_within_its_own_bound() -> None:
    exact = tiny_runs.finish(tiny_runs.training(tiny_runs.recipe("budget.epochs=1", "optimizer.lr=1e-3")))[0]
    for precision, bound in (("bfloat16", 0.03), ("float16", 0.005)):
        spec = tiny_runs.recipe("budget.epochs=1", "optimizer.lr=1e-3", f"precision={precision}")
        rounded = tiny_runs.finish(tiny_runs.training(spec))[0]
        assert rounded.loss == pytest.approx(exact.loss, rel=bound)
        assert rounded.loss != exact.loss


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_last_batch_of_one_image_is_trained_on_where_layers_see_a_single_pixel(precision: str) -> None:
    narrow = "network={kind='resnet-v2', units=[1, 1, 1, 1], filters=[4, 4, 4, 4], bottleneck=[2, 2, 2, 2]}"
    spec = tiny_runs.recipe("batch_size=60", narrow, f"precision={precision}")
    run = loop.Training(spec, data=tiny_runs.data(spec, train=61), device=torch.device("cpu"), kernels="torch")
    assert 1 in {module.pixels for module in run.program.network.modules() if isinstance(module, layers.BatchNorm)}
    assert [record.step for record in tiny_runs.finish(run)] == [2, 4, 6]


def test_training_learns() -> None:
    last = tiny_runs.finish(tiny_runs.training(tiny_runs.recipe("budget.epochs=30", "augmentation={kind='none'}")))[-1]
    assert last.acc > 0.95


def test_costs_are_recorded_with_a_reason_for_what_is_absent() -> None:
    training = tiny_runs.training(tiny_runs.recipe("budget.epochs=2"))
    costs = [cost for _, cost in loop.run(training, progress=loop.Progress())]
    assert [cost.epoch for cost in costs] == [1, 2]
    for cost in costs:
        assert (cost.setup_seconds, cost.compile_seconds) == (0, 0), "whoever starts the process knows them"
        assert cost.load is not None
        assert 0 < cost.load <= 1
        assert cost.load_reason is None
        assert cost.train_seconds > 0
        assert cost.evaluation_seconds > 0
        assert (cost.joules is None) == (cost.joules_reason is not None)
        assert cost.peak_memory_bytes is not None
        assert cost.images_per_second == pytest.approx(120 / cost.train_seconds)


def test_a_changed_recipe_is_refused_with_the_difference() -> None:
    snapshot = tiny_runs.training(tiny_runs.recipe()).snapshot()
    other = tiny_runs.training(tiny_runs.recipe("optimizer.lr=0.5", "budget.epochs=9"))
    with pytest.raises(errors.CheckpointError, match=r"(?s)budget\.epochs: 3 -> 9.*optimizer\.lr: 0\.01 -> 0\.5"):
        other.restore(snapshot)


def test_other_data_is_refused() -> None:
    training = tiny_runs.training(tiny_runs.recipe())
    snapshot = training.snapshot()
    facts = snapshot.facts.model_copy(update={"data": "f" * 64})
    with pytest.raises(errors.DataError, match="the data has changed"):
        training.restore(checkpoint.Snapshot(snapshot.tensors, facts))
