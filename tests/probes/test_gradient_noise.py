"""The noise scale against known answers: a quadratic problem by enumeration, no noise at all, a network's batches."""

from __future__ import annotations

import itertools
from pathlib import Path

import kept_runs
import numpy as np
import pytest
import tiny_runs
import torch
from torch import Tensor

from fewepochs import errors, seeds, store
from fewepochs.probes import gradient_noise as noise
from fewepochs.probes import last_step
from fewepochs.probes import moment as moments
from fewepochs.probes.gradient_noise import Plan
from fewepochs.specs import updates
from run_folders import contents

HESSIAN = torch.tensor([[2.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 4.0]], dtype=torch.float64)
CENTRES = torch.tensor([[1.0, 0.0, 2.0], [0.0, 3.0, 1.0], [-2.0, 1.0, 0.5]], dtype=torch.float64)
WEIGHTS = torch.tensor([1.0, -1.0, 0.25], dtype=torch.float64)
"""Loss of image n: (w - c_n)' H (w - c_n) / 2. Its gradient is H (w - c_n)."""
SINGLE = (WEIGHTS - CENTRES) @ HESSIAN
MEAN = SINGLE.mean(0)
SIGMA = float((SINGLE - MEAN).square().sum(1).mean())
"""tr(Sigma) of an image drawn from the three, exactly."""


def estimate(chosen: np.ndarray, *, segments: tuple[int, ...] = (3,), divisor: Tensor | None = None) -> noise.Found:
    """Return what is found where image chosen[d, i, k] is the k-th of batch i of draw d."""
    draws, batches, size = chosen.shape
    return noise.collect(
        lambda draw, batch: SINGLE[chosen[draw, batch].tolist()].mean(0),
        plan=Plan(draws, batches, size),
        segments=segments,
        divisor=divisor,
    )


def test_both_estimates_are_unbiased_over_all_draws_of_a_tiny_data_set() -> None:
    """Two draws of two batches of one image out of three: all 81 ways, each as likely as any other."""
    ways = itertools.product(range(3), repeat=4)
    found = [noise.scale(estimate(np.array(way).reshape(2, 2, 1)), batch_size=1, name=(0,)) for way in ways]
    assert np.mean([one.noise for one in found]) == pytest.approx(SIGMA, rel=1e-12)
    assert np.mean([one.signal for one in found]) == pytest.approx(float(MEAN.square().sum()), rel=1e-12)


def test_a_batchs_size_does_not_move_the_noise_of_an_image() -> None:
    """Two draws of two batches of two images would be 3^8 ways; the noise needs one draw: 81."""
    ways = itertools.product(range(3), repeat=4)
    found = [2 * estimate(np.array(way).reshape(1, 2, 2)).spread.sum() for way in ways]
    assert np.mean(found) == pytest.approx(SIGMA, rel=1e-12)


def test_within_a_draw_the_noise_is_what_two_batch_sizes_give() -> None:
    """McCandlish et al., appendix A.1: S = (|G_small|^2 - |G_big|^2) / (1/B_small - 1/B_big)."""
    chosen = np.array([[[0, 1], [2, 2], [1, 0]]])
    batches = [SINGLE[rows.tolist()].mean(0) for rows in chosen[0]]
    small = float(torch.stack([g.square().sum() for g in batches]).mean())
    big = float(torch.stack(batches).mean(0).square().sum())
    assert 2 * estimate(chosen).spread.sum() == pytest.approx((small - big) / (1 / 2 - 1 / 6), rel=1e-12)


def test_many_draws_find_the_known_ratio_within_their_interval() -> None:
    uniform = seeds.uniform(seeds.derive(0, "quadratic"), 64 * 8 * 4).reshape(64, 8, 4)
    found = noise.scale(estimate((3 * uniform).astype(int)), batch_size=4, name=(1,))
    known = SIGMA / float(MEAN.square().sum())
    assert found.images == pytest.approx(known, rel=0.1)
    assert found.low is not None
    assert found.high is not None
    assert found.low < known < found.high


def test_segments_add_up_to_the_whole() -> None:
    chosen = (3 * seeds.uniform(seeds.derive(0, "parts"), 4 * 3 * 2).reshape(4, 3, 2)).astype(int)
    whole, parts = estimate(chosen), estimate(chosen, segments=(1, 2))
    assert parts.spread.sum(1) == pytest.approx(whole.spread.sum(1), rel=1e-12)
    assert parts.products.sum(0) == pytest.approx(whole.products.sum(0), rel=1e-12)


def test_what_an_optimizer_divides_by_divides_each_weights_noise() -> None:
    """All 81 ways of two batches of two images, as above: a batch has half the noise of an image."""
    divisor = torch.tensor([0.5, 2.0, 10.0], dtype=torch.float64)
    ways = [np.array(way).reshape(1, 2, 2) for way in itertools.product(range(3), repeat=4)]
    known = float(((SINGLE - MEAN) / divisor).square().sum(1).mean()) / 2
    assert np.mean([estimate(way, divisor=divisor).divided for way in ways]) == pytest.approx(known, rel=1e-12)
    assert np.mean([estimate(way).divided for way in ways]) == pytest.approx(SIGMA / 2, rel=1e-12)


def test_without_noise_the_scale_is_zero_exactly() -> None:
    found = noise.scale(estimate(np.ones((4, 3, 2), dtype=int)), batch_size=2, name=(0,))
    assert (found.noise, found.images) == (0.0, 0.0)
    assert found.signal == pytest.approx(float(SINGLE[1].square().sum()), rel=1e-12)


def test_a_gradient_that_is_not_told_from_its_noise_has_no_scale() -> None:
    """At the minimum the mean gradient is zero, and pairs of draws may point apart."""
    found = noise.scale(
        noise.Found(np.ones((2, 1)), np.array([[[1.0, -0.5], [-0.5, 1.0]]]), np.ones(2)), batch_size=8, name=(0,)
    )
    assert (found.noise, found.signal) == (8.0, -0.5)
    assert (found.images, found.low, found.high) == (None, None, None)


def test_a_resampled_draw_is_never_its_own_partner() -> None:
    products = np.array([[9.0, 1.0, 2.0], [1.0, 9.0, 3.0], [2.0, 3.0, 9.0]])
    counts = np.array([[1.0, 1.0, 1.0], [2.0, 1.0, 0.0], [0.0, 0.0, 3.0]])
    assert noise._signal(products, counts).tolist() == [2.0, 1.0, -np.inf]


def test_images_are_spent_on_draws_first() -> None:
    assert noise.plan(images=8192, batch_size=64) == Plan(16, 8, 64)
    assert noise.plan(images=8192, batch_size=512) == Plan(8, 2, 512)
    assert noise.plan(images=1000, batch_size=32) == Plan(15, 2, 32)
    with pytest.raises(errors.RecipeError, match="allowed: 512 and more at batches of 64"):
        noise.plan(images=511, batch_size=64)


# --- of a run -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> store.StoredRun:
    return kept_runs.train(tmp_path_factory.mktemp("noise") / "run", "network.dropout=0.2", keep=(1,))


def at_end(run: store.StoredRun) -> moments.Moment:
    return list(moments.moments(run, bench=kept_runs.bench(run)))[-1]


def test_a_moment_gives_the_same_bits_again_and_is_left_as_it_was(run: store.StoredRun) -> None:
    before, moment = contents(run.path), at_end(run)
    state = {name: tensor.clone() for name, tensor in moment.program.state().items()}
    found = noise.measure(moment, images=512)
    assert found == noise.measure(at_end(run), images=512)
    assert (found.draws, found.batches, found.batch_size, found.images) == (16, 2, 16, 512)
    for name, tensor in moment.program.state().items():
        assert torch.equal(tensor, state[name]), name
    assert contents(run.path) == before


def test_a_step_of_adam_is_as_long_as_its_noise_over_what_it_divides_by(run: store.StoredRun) -> None:
    moment = at_end(run)
    asked = noise.plan(images=512, batch_size=16)
    lr, momentum = last_step.rate_and_momentum(moment)
    divisor = last_step.divisor(moment, momentum=momentum)
    assert divisor is not None
    steps = moment.program.state()["count.steps"].clone()
    variances = []
    for draw in range(asked.draws):
        batches = [noise._gradient(moment, draw=draw, batch=batch, size=16) for batch in range(asked.batches)]
        variances.append((torch.stack(batches).double() / divisor.double()).var(0).sum())
    moment.program.state()["count.steps"].copy_(steps)
    found = noise.measure(moment, images=512).step
    assert found is not None
    assert found.length == pytest.approx(lr * float(torch.stack(variances).mean()) ** 0.5, rel=1e-9)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.length < found.high


def test_a_step_of_sgd_goes_on_with_its_momentum_and_a_rule_that_is_not_known_has_no_length() -> None:
    assert noise._reach(updates.Sgd(lr=1.0, momentum=0.9), lr=0.1, momentum=0.9) == pytest.approx(1.0)
    assert noise._reach(updates.Adam(), lr=0.1, momentum=0.9) == 0.1
    assert noise._reach(updates.Lion(), lr=0.1, momentum=0.9) is None


def test_layers_are_those_of_the_network_and_add_up(run: store.StoredRun) -> None:
    found = noise.measure(at_end(run), images=512)
    assert list(found.layers)[:2] == ["stem", "stem_bn"]
    assert list(found.layers)[-1] == "dense"
    assert sum(one.noise for one in found.layers.values()) == pytest.approx(found.whole.noise, rel=1e-9)
    assert sum(one.signal for one in found.layers.values()) == pytest.approx(found.whole.signal, rel=1e-9)


def test_every_batch_has_images_draws_and_a_mask_of_its_own(run: store.StoredRun) -> None:
    moment = at_end(run)
    seen: list[Tensor] = []
    for name in ((0, 0), (0, 1), (1, 0)):
        gradient = noise._gradient(moment, draw=name[0], batch=name[1], size=16)
        assert all(not torch.equal(gradient, other) for other in seen)
        seen.append(gradient)
    assert torch.equal(noise._gradient(moment, draw=0, batch=1, size=16), seen[1])


def test_the_penalty_is_signal_and_no_noise(run: store.StoredRun, tmp_path: Path) -> None:
    moment = at_end(run)
    found = noise.measure(moment, images=512)
    plain = at_end(kept_runs.train(tmp_path / "plain", "network.dropout=0.2", "regularisation={kind='none'}", keep=()))
    with plain.at(weights=moment.weights, statistics=moment.statistics):
        without = noise.measure(plain, images=512)
    assert without.whole.noise == pytest.approx(found.whole.noise, rel=1e-6)
    assert without.whole.signal != pytest.approx(found.whole.signal, rel=1e-6)


def test_one_image_again_and_again_has_no_noise(tmp_path: Path) -> None:
    run = kept_runs.train(tmp_path / "run", "augmentation={kind='none'}", keep=())
    moment = at_end(run)
    train = moment.data.train
    train.pixels.copy_(train.pixels[:1].expand_as(train.pixels))
    train.labels.copy_(train.labels[:1].expand_as(train.labels))
    found = noise.measure(moment, images=512)
    assert found.whole.noise == 0.0
    assert found.whole.images == 0.0
    assert len(train) == tiny_runs.TRAIN
