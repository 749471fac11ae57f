"""Which rates a sweep visits, and which sweeps are refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fewepochs import errors
from fewepochs.probes import sweeps
from fewepochs.probes.sweeps import Sweep
from fewepochs.specs import updates


def test_an_exponential_sweep_multiplies_by_the_same_factor() -> None:
    assert Sweep(1e-4, 1.0, steps=5).rates() == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1.0], rel=1e-14)


def test_a_linear_sweep_adds_the_same_amount() -> None:
    assert Sweep(0.5, 2.5, steps=5, kind="linear").rates() == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.5], rel=1e-14)


@pytest.mark.parametrize("kind", sweeps.KINDS)
def test_a_sweep_begins_and_ends_at_exactly_the_rates_asked_for(kind: sweeps.Kind) -> None:
    rates = Sweep(3e-7, 0.7, steps=137, kind=kind).rates()
    assert (len(rates), rates[0], rates[-1]) == (137, 3e-7, 0.7)
    assert (np.diff(rates) > 0).all()


def test_the_smoothing_is_a_part_of_the_sweep_whatever_its_steps() -> None:
    for steps in (40, 200, 1000):
        assert Sweep(steps=steps, smoothing=0.05).weight ** (steps / 20) == pytest.approx(1 / math.e)


def test_everything_wrong_with_a_sweep_is_said_at_once() -> None:
    wrong = Sweep(0.1, 0.1, steps=9, kind="exponental", factor=1.0, smoothing=0.3)  # type: ignore[arg-type]
    with pytest.raises(errors.RecipeError) as caught:
        sweeps.check(wrong, seeds=(0, 2**63))
    told = [str(problem).split(":")[0] for problem in caught.value.problems]
    assert told == ["--up-to", "--steps", "--sweep", "--factor", "--smoothing", "--seeds"]
    assert "did you mean 'exponential'?" in str(caught.value)


@pytest.mark.parametrize("rate", [0.0, -1e-3, math.nan, math.inf])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    for wrong, field in ((Sweep(rate, 1.0), "--from"), (Sweep(1e-6, rate), "--up-to")):
        with pytest.raises(errors.RecipeError, match=f"{field}: not a learning rate"):
            sweeps.check(wrong)


def test_the_default_sweep_and_its_bounds_are_accepted() -> None:
    sweeps.check(Sweep())
    sweeps.check(Sweep(steps=10, smoothing=0.25), seeds=(-(2**63), 2**63 - 1))


def test_every_optimizer_has_six_decades() -> None:
    for optimizer in (updates.Adam(), updates.Sgd(), updates.Lion(), updates.Muon(), updates.ScheduleFreeSgd()):
        lowest, highest = sweeps.default_range(optimizer)
        assert highest / lowest == pytest.approx(1e6)
        assert lowest < optimizer.lr < highest
