"""Splitting, normalising, and what an epoch draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fewepochs import errors, seeds
from fewepochs.data import loader, sources
from fewepochs.specs import inputs


def dataset(*, train: int = 40, test: int = 10, white: int = 255) -> sources.DataSet:
    def part(count: int, name: str) -> sources.Images:
        words = seeds.words(seeds.derive(0, name), count * 5 * 4 * 3)
        pixels = (words % np.uint64(white + 1)).astype(np.uint8).reshape(count, 5, 4, 3)
        return sources.Images(pixels, np.arange(count) % 7)

    return sources.DataSet(
        kind="npz",
        train=part(train, "train"),
        test=part(test, "test"),
        classes=tuple("abcdefg"),
        white=white,
        digest="0" * 64,
        origin="made here",
        verified="made here",
    )


def test_mean_image_is_subtracted_as_published() -> None:
    made = dataset()
    data = loader.prepare(made, spec=inputs.DataSpec(kind="npz"))
    expected = made.test.pixels / 255 - (made.train.pixels / 255).mean(axis=0)
    np.testing.assert_allclose(data.normalise(data.validation.pixels).numpy(), expected, rtol=0, atol=1e-6)


def test_per_channel_standardisation_gives_mean_zero_and_deviation_one() -> None:
    made = dataset(white=16)
    data = loader.prepare(made, spec=inputs.DataSpec(kind="npz", normalise="per-channel"))
    x = data.normalise(data.train.pixels, dtype=torch.float64)
    np.testing.assert_allclose(x.mean((0, 1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(x.std((0, 1, 2), unbiased=False), 1, atol=1e-6)


def test_no_normalisation_is_pixel_over_white() -> None:
    made = dataset(white=16)
    data = loader.prepare(made, spec=inputs.DataSpec(kind="npz", normalise="none"))
    np.testing.assert_array_equal(data.normalise(data.train.pixels), made.train.pixels.astype(np.float32) / 16)


@pytest.mark.parametrize("white", [16, 255])
def test_a_constant_channel_is_divided_by_one(white: int) -> None:
    """By exactly 1, whatever the constant: an image that differs by one level stays one level away."""
    made = dataset(train=50, white=white)
    spec = inputs.DataSpec(kind="npz", normalise="per-channel")
    for constant in range(white + 1):
        made.train.pixels[..., 1] = constant
        std = loader.prepare(made, spec=spec).std
        assert std is not None
        assert float(std[1]) == 1.0, constant


def test_held_out_images_are_the_same_for_every_run_and_never_trained_on() -> None:
    made = dataset()
    spec = inputs.DataSpec(kind="npz", validation=inputs.HeldOut(images=12))
    first, second = loader.prepare(made, spec=spec), loader.prepare(made, spec=spec)
    assert torch.equal(first.validation.pixels, second.validation.pixels)
    rows = {image.numpy().tobytes() for image in first.train.pixels}
    held_out = {image.numpy().tobytes() for image in first.validation.pixels}
    assert (len(rows), len(held_out)) == (28, 12)
    assert not rows & held_out
    assert first.test is not None
    np.testing.assert_array_equal(first.test.pixels, made.test.pixels)
    other = loader.prepare(made, spec=inputs.DataSpec(kind="npz", validation=inputs.HeldOut(images=12, split_seed=1)))
    assert not torch.equal(first.validation.pixels, other.validation.pixels)


def test_statistics_never_see_held_out_images() -> None:
    made = dataset()
    spec = inputs.DataSpec(kind="npz", validation=inputs.HeldOut(images=12))
    data = loader.prepare(made, spec=spec)
    expected = data.train.pixels.double().mean(0) / 255
    assert data.mean is not None
    np.testing.assert_allclose(data.mean, expected, rtol=0, atol=1e-7)


def test_test_images_as_validation_leave_no_other_test_part() -> None:
    made = dataset()
    data = loader.prepare(made, spec=inputs.DataSpec(kind="npz"))
    assert data.test is None
    np.testing.assert_array_equal(data.validation.pixels, made.test.pixels)


@pytest.mark.parametrize("images", [40, 41])
def test_holding_out_everything_is_refused(images: int) -> None:
    spec = inputs.DataSpec(kind="npz", validation=inputs.HeldOut(images=images))
    with pytest.raises(errors.RecipeError, match=r"data\.validation\.images.*allowed: 1 to 39"):
        loader.prepare(dataset(), spec=spec)


def test_an_epochs_order_is_a_permutation_named_by_seed_and_epoch() -> None:
    data = loader.prepare(dataset(), spec=inputs.DataSpec(kind="npz"))

    def order(seed: int, epoch: int) -> list[int]:
        plan = loader.plan_epoch(
            data,
            augmentation=inputs.NoAugmentation(),
            mixing=inputs.NoMixing(),
            steps=4,
            order_seed=seed,
            augmentation_seed=9,
            epoch=epoch,
        )
        found: list[int] = plan.order.tolist()
        return found

    assert sorted(order(0, 1)) == list(range(40))
    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2)
    assert order(0, 1) != order(1, 1)
