"""Mixup and cutmix against a slow twin, and what their draws promise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fewepochs import seeds
from fewepochs.data import mixing
from fewepochs.specs import inputs

SPECS = [inputs.Mixup(alpha=0.4), inputs.CutMix(), inputs.CutMix(alpha=0.5, probability=0.5)]


def images(count: int) -> torch.Tensor:
    draws = seeds.uniform(seeds.derive(0, "images"), count * 8 * 9 * 3)
    return torch.from_numpy(draws.reshape(count, 8, 9, 3).astype(np.float32))


@pytest.mark.parametrize("spec", SPECS)
@given(count=st.integers(1, 7), epoch=st.integers(1, 5))
def test_a_mixed_batch_is_the_slow_twins(spec: inputs.Mixup | inputs.CutMix, count: int, epoch: int) -> None:
    x = images(count)
    table = mixing.draw(spec, seed=3, epoch=epoch, steps=4, height=8, width=9)
    assert table is not None
    for share, *box in table.T:
        row = torch.tensor([share, *box], dtype=torch.float64)
        found = mixing.mix(x, row, spec=spec).numpy()
        for n in range(count):
            own, partner = x[n].numpy(), x[count - 1 - n].numpy()
            if isinstance(spec, inputs.Mixup):
                expected = np.float32(share) * own + (1 - np.float32(share)) * partner
                np.testing.assert_allclose(found[n], expected, rtol=0, atol=1e-6)
            else:
                first_row, end_row, first_column, end_column = (int(value) for value in box)
                expected = own.copy()
                expected[first_row:end_row, first_column:end_column] = partner[
                    first_row:end_row, first_column:end_column
                ]
                np.testing.assert_array_equal(found[n], expected)
                covered = (end_row - first_row) * (end_column - first_column)
                assert share == pytest.approx(1 - covered / 72, abs=1e-15)


def test_shares_are_beta_distributed() -> None:
    table = mixing.draw(inputs.Mixup(alpha=0.4), seed=0, epoch=1, steps=5000, height=8, width=8)
    assert table is not None
    assert stats.kstest(table[0], stats.beta(0.4, 0.4).cdf).pvalue > 0.01


def test_cutmix_cuts_with_its_probability_and_never_all_by_rounding() -> None:
    table = mixing.draw(inputs.CutMix(probability=0.25), seed=0, epoch=1, steps=4000, height=32, width=32)
    assert table is not None
    # A cut so small that it covers no pixel counts as none: about sqrt(1 - l) < 1/32.
    assert (table[0] < 1).mean() == pytest.approx(0.25, abs=0.02)
    assert (table[1:3] <= 32).all()
    assert (table[1:] >= 0).all()


def test_draws_are_named_by_seed_and_epoch() -> None:
    def draw(seed: int, epoch: int) -> bytes:
        table = mixing.draw(inputs.CutMix(), seed=seed, epoch=epoch, steps=5, height=8, width=8)
        assert table is not None
        return table.tobytes()

    assert draw(0, 1) == draw(0, 1)
    assert len({draw(0, 1), draw(0, 2), draw(1, 1)}) == 3


def test_no_mixing_draws_nothing() -> None:
    assert mixing.draw(inputs.NoMixing(), seed=0, epoch=1, steps=5, height=8, width=8) is None
