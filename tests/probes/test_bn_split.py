"""The same weights under three kinds of statistics, against numpy and against the run's own record."""

from __future__ import annotations

from pathlib import Path

import kept_runs
import numpy as np
import pytest
import torch

from fewepochs import store
from fewepochs.nets.layers import BatchNorm
from fewepochs.probes import bn_split
from fewepochs.probes import moment as moments
from fewepochs.probes.moment import Moment
from run_folders import contents


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> store.StoredRun:
    return kept_runs.train(tmp_path_factory.mktemp("split") / "run", keep=(1, 2))


def all_moments(run: store.StoredRun) -> list[Moment]:
    return list(moments.moments(run, bench=kept_runs.bench(run)))


def activations(moment: Moment, x_NCHW: torch.Tensor) -> list[np.ndarray]:
    """Return what goes into each BN, [N, C, H, W], in training mode."""
    seen: list[np.ndarray] = []
    norms = [module for module in moment.network.modules() if isinstance(module, BatchNorm)]
    hooks = [n.register_forward_pre_hook(lambda _, given: seen.append(given[0].double().numpy())) for n in norms]
    with torch.no_grad():
        moment.network.train()
        moment.network(x_NCHW)
    for hook in hooks:
        hook.remove()
    return seen


def numpys(seen: list[np.ndarray]) -> np.ndarray:
    means = np.concatenate([one.mean((0, 2, 3)) for one in seen])
    return np.stack([means, np.concatenate([one.var((0, 2, 3)) for one in seen])])


def test_recomputed_statistics_are_numpys_over_all_activations(run: store.StoredRun) -> None:
    moment = all_moments(run)[0]
    x_NCHW, _ = moment.batch(moment.data.train, slice(None))
    expected = numpys(activations(moment, x_NCHW))
    np.testing.assert_allclose(bn_split.recomputed(moment).numpy(), expected, rtol=2e-5, atol=2e-6)
    assert np.abs(moment.statistics.numpy() - expected).max() > 0.1  # after one epoch the moving ones are far behind


def test_over_several_batches_mean_and_variance_are_those_of_all(
    run: store.StoredRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first layer sees the same in whatever batches."""
    moment = all_moments(run)[0]
    whole = bn_split.recomputed(moment)
    monkeypatch.setattr(bn_split, "EVALUATION_BATCH", 33)
    in_parts = bn_split.recomputed(moment)
    np.testing.assert_allclose(in_parts[:, :4].numpy(), whole[:, :4].numpy(), rtol=1e-5, atol=1e-6)
    assert not torch.equal(in_parts[:, 8:], whole[:, 8:])


def test_under_moving_statistics_the_loss_is_the_runs_own_bit_for_bit(run: store.StoredRun) -> None:
    for moment in all_moments(run):
        found = bn_split.split(moment)
        assert found.moving.loss == found.logged
        assert moment.record is not None
        assert (found.moving.accuracy, found.train_loss) == (moment.record.val_acc, moment.record.loss)


def test_stale_statistics_spoil_the_first_kind_alone(run: store.StoredRun) -> None:
    moment = all_moments(run)[-1]
    fresh = bn_split.split(moment)
    with moment.at(statistics=torch.stack([moment.statistics[0], moment.statistics[1] * 1e-4])):
        stale = bn_split.split(moment)
    assert stale.moving.loss > fresh.moving.loss + 0.05
    assert (stale.recomputed, stale.batch) == (fresh.recomputed, fresh.batch)
    assert stale.mean_shift == fresh.mean_shift
    assert stale.variance_ratio < fresh.variance_ratio


def test_with_recomputed_statistics_as_moving_ones_nothing_is_stale(run: store.StoredRun) -> None:
    moment = all_moments(run)[-1]
    with moment.at(statistics=bn_split.recomputed(moment)):
        found = bn_split.split(moment)
    assert found.moving == found.recomputed
    assert (found.mean_shift, found.variance_ratio) == (0.0, 1.0)


def test_batch_statistics_are_those_of_batches_of_nearly_equal_sizes(run: store.StoredRun) -> None:
    """Slow twin: 40 images in batches of at most 16 are three, of 14, 13 and 13 images."""
    moment = all_moments(run)[-1]
    validation = moment.data.validation
    order = moments.some(validation, 40, seed=0, stream="bn-split", counters=(3,))
    total = 0.0
    with torch.no_grad():
        moment.network.train()
        for rows in (order[:14], order[14:27], order[27:]):
            x_NCHW, labels = moment.batch(validation, rows)
            total += float(torch.nn.functional.cross_entropy(moment.network(x_NCHW), labels, reduction="sum"))
    found = bn_split.split(moment).batch
    assert found.cross_entropy == pytest.approx(total / 40, rel=1e-6)
    assert found.images == 40


def test_augmented_images_give_other_statistics_by_the_draws_of_the_epoch(run: store.StoredRun) -> None:
    moment = all_moments(run)[0]
    plain, augmented = bn_split.recomputed(moment), bn_split.recomputed(moment, augmented=True)
    assert not torch.equal(plain, augmented)
    assert torch.equal(augmented, bn_split.recomputed(moment, augmented=True))


def test_dropout_is_off_and_nothing_is_changed(tmp_path: Path) -> None:
    run = kept_runs.train(tmp_path / "run", "network.dropout=0.5", keep=())
    before, moment = contents(run.path), all_moments(run)[-1]
    state = {name: tensor.clone() for name, tensor in moment.program.state().items()}
    found = bn_split.split(moment)
    moment.program.state()["count.steps"].add_(1)
    assert bn_split.split(moment) == found
    moment.program.state()["count.steps"].sub_(1)
    for name, tensor in moment.program.state().items():
        assert torch.equal(tensor, state[name]), name
    assert contents(run.path) == before
