"""Draws are what they were: pinned as literal values, so that no other numpy or Python can change a result."""

from __future__ import annotations

import hashlib
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fewepochs import seeds
from oracles import philox

KEY = 286736062933137913042655126252346013988
KEYS = st.integers(0, 2**128 - 1)
COUNTERS = st.lists(st.integers() | st.text(), max_size=4).map(tuple)


# --- names ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ((0, "order"), 233006335307339503008584620640932865471),
        ((0, "order", 1), KEY),
        ((0, "order", "1"), 180143882294048795095875342458547358546),
        ((-1, "init", "conv.kernel"), 213246401439137779698865357979945182897),
        ((2**70, "dropout", 1, 2, 3), 33570541956512980446397057387608699664),
    ],
)
def test_a_name_has_the_key_it_always_had(name: tuple[int, str], key: int) -> None:
    assert seeds.derive(*name) == key


def test_a_key_is_the_beginning_of_the_names_sha256() -> None:
    digest = hashlib.sha256(b"(3, 'flip', 7, 'left')").digest()
    assert seeds.derive(3, "flip", 7, "left") == sum(byte << (8 * k) for k, byte in enumerate(digest[:16]))


def test_names_that_look_alike_have_different_keys() -> None:
    names: list[tuple[int, str, *tuple[int | str, ...]]] = [
        (0, "a"),
        (0, "a", "b"),
        (0, "a, b"),
        (0, "a', 'b"),
        (0, 'a", "b'),
        (0, "ab"),
        (0, "a", ""),
        (0, "a", 1),
        (0, "a", "1"),
        (0, "a", 1, 2),
        (0, "a", 12),
        (0, "a", "1", "2"),
        (0, "a", "(1, 2)"),
        (1, "a"),
        (-1, "a"),
        (2**64, "a"),
        (0, "A"),
        (0, "\u00e1"),
        (0, "a\u0301"),
        (0, "a\n"),
    ]
    assert len({seeds.derive(*name) for name in names}) == len(names)


@given(st.integers(), st.text(), COUNTERS, st.integers(), st.text(), COUNTERS)
def test_equal_names_and_no_others_share_a_key(
    seed: int,
    stream: str,
    counters: tuple[int | str, ...],
    seed_2: int,
    stream_2: str,
    counters_2: tuple[int | str, ...],
) -> None:
    one, two = seeds.derive(seed, stream, *counters), seeds.derive(seed_2, stream_2, *counters_2)
    assert one == seeds.derive(seed, stream, *counters)
    assert 0 <= one < 2**128
    assert (one == two) == ((seed, stream, counters) == (seed_2, stream_2, counters_2))


def test_a_numpy_seed_names_the_same_draw() -> None:
    assert seeds.derive(np.int64(5), "order", 1) == seeds.derive(5, "order", 1)  # type: ignore[arg-type]


# --- words ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (KEY, [558350396728048079, 13215192141276992620, 5440795499970595197, 16570758851774712870]),
        (0, [213000021201967259, 4455796210202625458, 2055444239878205049, 10411612076246414556]),
        (2**128 - 1, [7874205360917102206, 10542541251131640768]),
    ],
)
def test_a_key_has_the_words_it_always_had(key: int, expected: list[int]) -> None:
    assert seeds.words(key, len(expected)).tolist() == expected


@given(KEYS, st.integers(0, 40))
def test_words_are_philox_as_published(key: int, n: int) -> None:
    assert seeds.words(key, n).tolist() == philox.words(key, n)


@given(KEYS, st.integers(0, 40), st.integers(0, 40))
def test_more_words_begin_with_the_same_words(key: int, n: int, more: int) -> None:
    assert seeds.words(key, n + more)[:n].tolist() == seeds.words(key, n).tolist()


def test_drawing_leaves_no_trace() -> None:
    np.random.seed(1)
    before = np.random.get_state()[1].tolist()  # type: ignore[index]
    first = seeds.words(KEY, 5).tolist()
    seeds.uniform(KEY + 1, 3)
    assert seeds.words(KEY, 5).tolist() == first
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index]


# --- uniforms ---------------------------------------------------------------------------------------------------


def test_a_key_has_the_uniforms_it_always_had() -> None:
    expected = ["0x1.efea2e904b1e0p-6", "0x1.6ecb967886b2bp-1", "0x1.2e065ab8fd2a2p-2", "0x1.cbee52c295621p-1"]
    assert [float(u).hex() for u in seeds.uniform(KEY, 4)] == expected


@given(KEYS, st.integers(0, 40))
def test_a_uniform_is_the_middle_of_one_of_two_to_the_52_intervals(key: int, n: int) -> None:
    middles = [Fraction(2 * (word >> 12) + 1, 2**53) for word in philox.words(key, n)]
    assert [Fraction(float(u)) for u in seeds.uniform(key, n)] == middles


@pytest.mark.parametrize(("word", "expected"), [(0, 2.0**-53), (2**64 - 1, 1 - 2.0**-53), (2**63, 0.5 + 2.0**-53)])
def test_no_uniform_is_zero_or_one(word: int, expected: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeds, "words", lambda key, n: np.full(n, word, dtype=np.uint64))
    assert seeds.uniform(0, 2).tolist() == [expected, expected]
    assert 0 < expected < 1


def test_uniforms_of_many_keys_are_uniform_and_unrelated() -> None:
    rows = np.array([seeds.uniform(seeds.derive(0, "test", k), 1000) for k in range(100)])
    assert stats.kstest(rows.ravel(), "uniform").pvalue > 0.01
    # The first draw of each name, and neighbours in one name: nothing of one shows in the other.
    assert stats.kstest(rows[:, 0], "uniform").pvalue > 0.01
    assert abs(np.corrcoef(rows[:, :-1].ravel(), rows[:, 1:].ravel())[0, 1]) < 0.01
    assert abs(np.corrcoef(rows[:-1].ravel(), rows[1:].ravel())[0, 1]) < 0.01


# --- permutations -----------------------------------------------------------------------------------------------


def test_a_key_has_the_permutation_it_always_had() -> None:
    assert seeds.permutation(KEY, 12).tolist() == [0, 8, 6, 11, 2, 10, 5, 4, 7, 1, 3, 9]
    pinned = [13, 2, 4, 6, 19, 3, 9, 12, 0, 15, 7, 8, 17, 5, 10, 18, 16, 14, 11, 1]
    assert seeds.permutation(seeds.derive(7, "order", 3), 20).tolist() == pinned


@given(KEYS, st.integers(0, 200))
def test_a_permutation_orders_the_words_and_has_every_number_once(key: int, n: int) -> None:
    order = seeds.permutation(key, n).tolist()
    assert sorted(order) == list(range(n))
    assert order == sorted(range(n), key=philox.words(key, n).__getitem__)


def test_equal_words_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeds, "words", lambda key, n: np.array([3, 1, 3, 1, 0] * 40, dtype=np.uint64)[:n])
    order = seeds.permutation(0, 200).tolist()
    assert order == sorted(range(200), key=[3, 1, 3, 1, 0].__mul__(40).__getitem__)


def test_every_order_of_four_comes_equally_often() -> None:
    met = [tuple(seeds.permutation(seeds.derive(0, "test", k), 4).tolist()) for k in range(4800)]
    counts = [met.count(order) for order in sorted(set(met))]
    assert len(counts) == 24
    assert stats.chisquare(counts).pvalue > 0.01
