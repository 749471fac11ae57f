"""Averaged weights: what they are, what evaluation sees of them, and that training does not notice."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_runs
import torch

from fewepochs import records
from fewepochs.train import loop

EMA = "averaging={kind='ema', decay=0.8, every=3}"
SWA = "averaging={kind='swa', start=0.5}"


def run(*overrides: str) -> tuple[loop.Training, list[records.EpochRecord]]:
    training = tiny_runs.training(tiny_runs.recipe("budget.epochs=4", *overrides))
    return training, list(tiny_runs.finish(training))


def weights_along(training: loop.Training) -> list[torch.Tensor]:
    """Return the weights after each step, by running the loop's own program step by step."""
    seen: list[torch.Tensor] = []
    step = training.program.step

    def watched(size: int) -> None:
        step(size)
        seen.append(training.program.weights.master.clone())

    training.program.step = watched  # type: ignore[method-assign]
    list(tiny_runs.finish(training))
    return seen


def test_ema_is_the_recursion_over_every_third_step() -> None:
    training = tiny_runs.training(tiny_runs.recipe("budget.epochs=4", EMA, "precision=float64"))
    expected = training.program.weights.master.clone()
    for k, weights in enumerate(weights_along(training), start=1):
        if k % 3 == 0:
            expected += (1 - 0.8) * (weights - expected)
    average = training.program.state()["average.weights"]
    np.testing.assert_allclose(average, expected, rtol=0, atol=1e-14)


def test_swa_is_the_mean_over_epochs_after_its_start() -> None:
    training = tiny_runs.training(tiny_runs.recipe("budget.epochs=4", SWA, "precision=float64"))
    weights, steps = weights_along(training), training.horizon.epoch_steps[0]
    expected = torch.stack(weights[3 * steps - 1 :: steps]).mean(0)
    np.testing.assert_allclose(training.program.state()["average.weights"], expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("averaging", [EMA, SWA])
def test_training_does_not_notice_what_evaluation_sees(averaging: str) -> None:
    plain, plain_records = run("precision=bfloat16")
    averaged, averaged_records = run("precision=bfloat16", averaging)
    assert [r.loss for r in plain_records] == [r.loss for r in averaged_records]
    for name, tensor in plain.program.state().items():
        assert torch.equal(tensor, averaged.program.state()[name]), name
    seen = [a.val_loss != b.val_loss for a, b in zip(plain_records, averaged_records, strict=True)]
    assert seen == ([True] * 4 if averaging == EMA else [False, False, True, True])


def test_statistics_of_an_average_are_those_of_the_training_images_under_it() -> None:
    """Slow twin: all images in one batch through a network with the averaged weights."""
    training, _ = run(EMA, "precision=float64", "network.dropout=0.2", "averaging.bn_images=90")
    program, data = training.program, training.data
    program.weights.master.copy_(program.state()["average.weights"])
    program._take_statistics()
    pooled = program.statistics.moving.clone()
    images = data.normalise(data.train.pixels[:90], dtype=torch.float64).permute(0, 3, 1, 2)
    with torch.no_grad():
        program.network(images)
    program.statistics.pool(batch_size=90, before=0)
    np.testing.assert_allclose(pooled, program.statistics.moving, rtol=0, atol=1e-12)


@pytest.mark.parametrize("sizes", [[10, 10, 10], [16, 16, 3], [1, 29]])
def test_pooled_statistics_are_those_of_all_values_together(sizes: list[int]) -> None:
    training = tiny_runs.training(tiny_runs.recipe("precision=float64"))
    statistics = training.program.statistics
    channels, pixels = statistics.moving.shape[1], statistics._pixels.long()
    generator = np.random.Generator(np.random.Philox(1))
    everything: list[list[np.ndarray[tuple[int], np.dtype[np.float64]]]] = [[] for _ in range(channels)]
    before = 0
    for size in sizes:
        for c in range(channels):
            values = generator.normal(3.0, 2.0, size * int(pixels[c]))
            everything[c].append(values)
            statistics._batch[0, c] = values.mean()
            statistics._batch[1, c] = values.var(ddof=1)
        statistics.pool(batch_size=size, before=before)
        before += size
    expected = [[np.concatenate(c).mean() for c in everything], [np.concatenate(c).var() for c in everything]]
    np.testing.assert_allclose(statistics.moving, expected, rtol=1e-12)
