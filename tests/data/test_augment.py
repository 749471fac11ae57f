"""Shifts and flips in batch, against scipy one image at a time and against Keras's own generator."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fewepochs import seeds
from fewepochs.data import augment
from fewepochs.specs import inputs
from oracles import augmentation

# Interpolation weights are rounded to float32 before use, scipy's are not: one part in 2^24 of a pixel range of 1.
TOLERANCE = 3e-7

offsets = st.floats(-40, 40).map(lambda value: round(value, 6))


def images(count: int, *, height: int = 32, width: int = 32) -> npt.NDArray[np.float32]:
    pixels = seeds.uniform(seeds.derive(1, "images"), count * height * width * 3)
    return (pixels.reshape(count, height, width, 3) - 0.5).astype(np.float32)


def ours(
    x_NHWC: npt.NDArray[np.float32], shifts: npt.NDArray[np.float64], flips: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32]:
    draws = augment.from_shifts(shifts, flips=flips, last=x_NHWC.shape[2])
    return np.asarray(augment.shift_flip(torch.from_numpy(x_NHWC), draws), dtype=np.float32)


def test_a_batch_equals_scipy_image_by_image() -> None:
    x = images(200)
    shifts = 6.4 * seeds.uniform(seeds.derive(1, "shifts"), 400).reshape(200, 2) - 3.2
    flips = seeds.uniform(seeds.derive(1, "flips"), 200) < 0.5
    expected = [
        augmentation.shift_flip(image, shift=(float(shift[0]), float(shift[1])), flip=bool(flip))
        for image, shift, flip in zip(x, shifts, flips, strict=True)
    ]
    np.testing.assert_allclose(ours(x, shifts, flips), np.stack(expected), rtol=0, atol=TOLERANCE)


@given(down=offsets, right=offsets, flip=st.booleans(), height=st.integers(1, 9), width=st.integers(1, 9))
def test_any_shift_of_any_shape_equals_scipy(down: float, right: float, flip: bool, height: int, width: int) -> None:
    x = images(1, height=height, width=width)
    result = ours(x, np.array([[down, right]]), np.array([flip]))
    expected = augmentation.shift_flip(x[0], shift=(down, right), flip=flip)
    np.testing.assert_allclose(result[0], expected, rtol=0, atol=TOLERANCE)


@pytest.mark.filterwarnings("ignore:Please import .affine_transform.:DeprecationWarning")  # by Keras's own code
def test_the_oracle_is_what_keras_does() -> None:
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    generator = ImageDataGenerator(fill_mode="nearest")
    for index, x in enumerate(images(20)):
        shift = tuple(6.4 * seeds.uniform(seeds.derive(2, "shift", index), 2) - 3.2)
        flip = index % 2 == 0
        theirs = generator.apply_transform(x.copy(), {"tx": shift[1], "ty": shift[0], "flip_horizontal": flip})
        np.testing.assert_allclose(
            augmentation.shift_flip(x, shift=(shift[0], shift[1]), flip=flip), theirs, rtol=0, atol=TOLERANCE
        )


def test_a_whole_shift_moves_pixels_without_changing_them() -> None:
    x = images(1)
    result = ours(x, np.array([[2.0, -3.0]]), np.array([False]))
    np.testing.assert_array_equal(result[0, :-2, 3:], x[0, 2:, :-3])
    np.testing.assert_array_equal(result[0, -1, 3:], x[0, -1, :-3])


def test_draws_cover_the_range_evenly_and_flip_half() -> None:
    spec = inputs.ShiftFlip(shift=0.1)
    draws = augment.draw(spec, seed=0, epoch=1, order=np.arange(20_000), height=32, width=16)
    assert draws is not None
    flips = draws.step.numpy() < 0
    start, weight = draws.start.numpy().astype(float), draws.weight.numpy().astype(float)
    down = start[:, 0] + weight[:, 0]
    right = np.where(flips, start[:, 1] - 16 + 1 - weight[:, 1], start[:, 1] + weight[:, 1])
    for values, limit in ((down, 3.2), (right, 1.6)):
        assert -limit <= values.min() < -0.99 * limit
        assert 0.99 * limit < values.max() <= limit
        assert abs(values.mean()) < 0.02 * limit
    assert flips.mean() == pytest.approx(0.5, abs=0.02)


def test_draws_are_named_by_seed_and_epoch() -> None:
    def draw(seed: int, epoch: int) -> augment.Draws:
        made = augment.draw(inputs.ShiftFlip(), seed=seed, epoch=epoch, order=np.arange(50), height=32, width=32)
        assert made is not None
        return made

    assert torch.equal(draw(0, 3).weight, draw(0, 3).weight)
    assert not torch.equal(draw(0, 3).weight, draw(0, 4).weight)
    assert not torch.equal(draw(0, 3).weight, draw(1, 3).weight)


def test_no_flip_and_no_augmentation_are_off() -> None:
    draws = augment.draw(inputs.ShiftFlip(flip="none"), seed=0, epoch=1, order=np.arange(500), height=32, width=32)
    assert draws is not None
    assert (draws.step == 1).all()
    assert augment.draw(inputs.NoAugmentation(), seed=0, epoch=1, order=np.arange(5), height=32, width=32) is None


def test_shift_zero_without_flip_is_the_identity() -> None:
    x = torch.from_numpy(images(3))
    draws = augment.draw(
        inputs.ShiftFlip(shift=0.0, flip="none"), seed=0, epoch=1, order=np.arange(3), height=32, width=32
    )
    assert draws is not None
    assert torch.equal(augment.shift_flip(x, draws), x)


# --- crops, squares, alternating flips ----------------------------------------------------------------------------

FLIPS: tuple[inputs.Flip, ...] = ("random", "alternating", "none")
FILLS: tuple[Literal["reflect", "zero"], ...] = ("reflect", "zero")


@given(
    st.integers(1, 6),
    st.sampled_from(FILLS),
    st.sampled_from(FLIPS),
    st.integers(0, 7),
    st.tuples(st.integers(7, 10), st.integers(7, 10)),
)
def test_a_crop_is_numpys_padding_cut_out(
    padding: int, fill: Literal["reflect", "zero"], flip: inputs.Flip, side: int, shape: tuple[int, int]
) -> None:
    spec = inputs.CropFlip(padding=padding, fill=fill, flip=flip, cutout=side)
    height, width = shape
    x = images(6, height=height, width=width)
    draws = augment.draw(spec, seed=1, epoch=2, order=np.arange(6), height=height, width=width)
    assert draws is not None
    found = augment.augment(torch.from_numpy(x.copy()), draws, spec=spec).numpy()
    for n in range(6):
        mirrored = int(draws.step[n]) < 0
        down, right = draws.start[n].tolist()
        right -= (width - 1) * mirrored
        assert -padding <= min(down, right) <= max(down, right) <= padding
        expected = augmentation.crop_flip(x[n], shift=(down, right), flip=mirrored, padding=padding, fill=fill)
        row, column = draws.centre[n].tolist()
        expected = augmentation.blank(expected, centre=(row, column), side=side)
        np.testing.assert_array_equal(found[n], expected)


def test_crops_reach_every_whole_shift_as_often() -> None:
    spec = inputs.CropFlip(padding=2, flip="none")
    draws = augment.draw(spec, seed=0, epoch=1, order=np.arange(50_000), height=32, width=32)
    assert draws is not None
    for axis in (0, 1):
        shifts, counts = np.unique(draws.start[:, axis].numpy(), return_counts=True)
        assert shifts.tolist() == [-2, -1, 0, 1, 2]
        assert np.abs(counts - 10_000).max() < 500


@pytest.mark.parametrize("kind", [inputs.ShiftFlip, inputs.CropFlip])
def test_alternating_flips_mirror_each_image_in_every_second_epoch(
    kind: type[inputs.ShiftFlip] | type[inputs.CropFlip],
) -> None:
    spec = kind(flip="alternating")

    def mirrored(epoch: int) -> npt.NDArray[np.bool_]:
        order = seeds.permutation(seeds.derive(0, "order", epoch), 1000)
        draws = augment.draw(spec, seed=0, epoch=epoch, order=order, height=32, width=32)
        assert draws is not None
        by_image = np.empty(1000, dtype=np.bool_)
        by_image[order] = draws.step.numpy() < 0
        return by_image

    first = mirrored(1)
    assert 400 < first.sum() < 600
    for epoch in range(2, 6):
        np.testing.assert_array_equal(mirrored(epoch), first ^ (epoch % 2 == 0))


def test_a_square_leaves_the_other_draws_as_they_were() -> None:
    plain, squared = (
        augment.draw(inputs.ShiftFlip(cutout=side), seed=0, epoch=1, order=np.arange(50), height=32, width=32)
        for side in (0, 8)
    )
    assert plain is not None
    assert squared is not None
    assert torch.equal(plain.start, squared.start)
    assert torch.equal(plain.weight, squared.weight)
