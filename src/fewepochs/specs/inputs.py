"""Which images a run sees, and what is done to them: data set, validation part, augmentation, mixing.

Units: `shift` is a fraction of the image's side; `padding` and `cutout` are pixels.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fewepochs.specs.base import Fraction, NonNegativeInt, Positive, PositiveInt, Seed, Spec, Unit

Flip = Literal["random", "alternating", "none"]
"""Left and right exchanged: with probability 1/2; in every second epoch, the first time drawn for each image; never."""


class HeldOut(Spec):
    """Validate on `images` images taken out of the training set; the same ones for every run.

    The choice depends on `split_seed` and the size of the training set alone, never on the run's seed.
    """

    kind: Literal["held-out"] = "held-out"
    images: PositiveInt = 5000
    split_seed: Seed = 0


class TestImages(Spec):
    """Validate on the data set's test images, as the published studies do."""

    __test__ = False  # not a test class, whatever pytest thinks of its name

    kind: Literal["test"] = "test"


Validation = Annotated[HeldOut | TestImages, Field(discriminator="kind")]


class DataSpec(Spec):
    """Which images, and what is done to all of them alike.

    `normalise`: "mean-image" = pixel/white minus the mean training image (a [H, W, C] array; Atienza);
    "per-channel" = (pixel/white - mean) / std with one mean and std a channel; "none" = pixel/white.
    Statistics come from the images trained on, never from validation images. `white` is the
    largest pixel value the data set can have (255; 16 for digits).
    """

    kind: Literal["cifar10", "cifar100", "digits", "npz"]
    validation: Validation = TestImages()
    normalise: Literal["mean-image", "per-channel", "none"] = "mean-image"


class NoAugmentation(Spec):
    """Images go in as they are."""

    kind: Literal["none"] = "none"


class ShiftFlip(Spec):
    """A random shift and a flip of each image, as Keras's ImageDataGenerator.

    Shifts are real-valued, uniform in [-shift*side, shift*side] on either axis, bilinear, the edge pixel
    repeated outside. `cutout` blanks a square of that many pixels a side around a random pixel (DeVries & Taylor 2017,
    arXiv:1708.04552); 0 blanks nothing.
    """

    kind: Literal["shift-flip"] = "shift-flip"
    shift: Unit = 0.1
    flip: Flip = "random"
    cutout: NonNegativeInt = 0


class CropFlip(Spec):
    """A random crop of the padded image, then a flip: a shift by whole pixels, uniform in [-padding, padding].

    Outside the image there is its reflection (the edge pixel not repeated) or zero, the mean of normalised pixels.
    `cutout` as in `ShiftFlip`.
    """

    kind: Literal["crop-flip"] = "crop-flip"
    padding: PositiveInt = 4
    fill: Literal["reflect", "zero"] = "zero"
    flip: Flip = "random"
    cutout: NonNegativeInt = 0


Augmentation = Annotated[NoAugmentation | ShiftFlip | CropFlip, Field(discriminator="kind")]


class NoMixing(Spec):
    """Every image stands for itself."""

    kind: Literal["none"] = "none"


class Mixup(Spec):
    """Images and labels are averaged in pairs: l * own + (1 - l) * partner (Zhang et al. 2017, arXiv:1710.09412).

    l is drawn from Beta(alpha, alpha) once a step. The partner of a batch's i-th image is its i-th from the end.
    """

    kind: Literal["mixup"] = "mixup"
    alpha: Positive = 0.2


class CutMix(Spec):
    """A rectangle of each image is its partner's, the label mixed by area (Yun et al. 2019, arXiv:1905.04899).

    The rectangle has the share 1 - l of the image, l from Beta(alpha, alpha), around a random pixel, clipped at the
    edges; one rectangle a step, with `probability`. The partner of a batch's i-th image is its i-th from the end.
    """

    kind: Literal["cutmix"] = "cutmix"
    alpha: Positive = 1.0
    probability: Fraction = 1.0


Mixing = Annotated[NoMixing | Mixup | CutMix, Field(discriminator="kind")]
