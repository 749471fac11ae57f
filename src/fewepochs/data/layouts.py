"""How CIFAR-10 and CIFAR-100 are published: archives, folders, files, and how many images stand in each.

Krizhevsky, "Learning multiple layers of features from tiny images", 2009; https://www.cs.toronto.edu/~kriz/cifar.html.
Either data set comes as pickles ("python") and as plain records ("binary"), each in one .tar.gz that unpacks to one
folder. An image is 3072 bytes: the red, green and blue planes of 32x32 pixels. Sizes and SHA-256 of the four
archives are those that Keras and TensorFlow Datasets check downloads against.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SIDE = 32
CHANNELS = 3
IMAGE_BYTES = CHANNELS * SIDE * SIDE
WHITE = 255

# A pickled batch carries a label or two and a file name beside each image: 33 bytes an image as published. A pixel
# is one byte as published, and up to two in UTF-8, which is how Python 3 writes for readers of Python 2.
PICKLE_BYTES_PER_IMAGE = 2 * IMAGE_BYTES + 64
PICKLE_BYTES = 65_536


@dataclass(frozen=True)
class Archive:
    """A published file: its name, where it is published, its size, its SHA-256 in hexadecimal digits."""

    name: str
    url: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Batch:
    """A file that holds images, and how many."""

    file: str
    images: int


@dataclass(frozen=True)
class Layout:
    """One published form of a data set.

    `folder` is what the archive unpacks to. `label_key` names the labels in a pickle; in a binary record
    `label_bytes` bytes stand before the pixels, and the last of them is the label.
    """

    form: Literal["python", "binary"]
    folder: str
    archive: Archive
    train: tuple[Batch, ...]
    test: tuple[Batch, ...]
    label_key: str
    label_bytes: int

    @property
    def batches(self) -> tuple[Batch, ...]:
        """Every file that holds images, training files first."""
        return self.train + self.test

    def most_bytes(self, batch: Batch) -> int:
        """Return the size in bytes that the file of `batch` cannot exceed."""
        if self.form == "binary":
            return batch.images * (self.label_bytes + IMAGE_BYTES)
        return batch.images * PICKLE_BYTES_PER_IMAGE + PICKLE_BYTES

    @property
    def folders(self) -> tuple[str, ...]:
        """The paths at which the folder may stand inside a place: as published, then as Keras 3 nests it."""
        return (self.folder, f"{self.folder}-target/{self.folder}")

    @property
    def archives(self) -> tuple[str, ...]:
        """The names under which the archive may stand inside a place: as published, as Keras 2, as Keras 3."""
        return (self.archive.name, f"{self.folder}.tar.gz", f"{self.folder}-target_archive")


@dataclass(frozen=True)
class Family:
    """A data set and the forms it is published in; the first form is the one that is downloaded."""

    kind: str
    classes: tuple[str, ...]
    layouts: tuple[Layout, ...]


def _archive(name: str, size: int, sha256: str) -> Archive:
    return Archive(name=name, url=f"https://www.cs.toronto.edu/~kriz/{name}", size=size, sha256=sha256)


CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

CIFAR100_CLASSES = tuple(
    """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
    caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant
    flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man
    maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree
    plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail
    snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout
    tulip turtle wardrobe whale willow_tree wolf woman worm
    """.split()  # noqa: SIM905 - a hundred quoted words would be harder to read
)
"""The fine labels' names, in the order of the labels."""

CIFAR10 = Family(
    kind="cifar10",
    classes=CIFAR10_CLASSES,
    layouts=(
        Layout(
            form="python",
            folder="cifar-10-batches-py",
            archive=_archive(
                "cifar-10-python.tar.gz",
                170_498_071,
                "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
            ),
            train=tuple(Batch(f"data_batch_{i}", 10_000) for i in range(1, 6)),
            test=(Batch("test_batch", 10_000),),
            label_key="labels",
            label_bytes=0,
        ),
        Layout(
            form="binary",
            folder="cifar-10-batches-bin",
            archive=_archive(
                "cifar-10-binary.tar.gz",
                170_052_171,
                "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            ),
            train=tuple(Batch(f"data_batch_{i}.bin", 10_000) for i in range(1, 6)),
            test=(Batch("test_batch.bin", 10_000),),
            label_key="",
            label_bytes=1,
        ),
    ),
)

CIFAR100 = Family(
    kind="cifar100",
    classes=CIFAR100_CLASSES,
    layouts=(
        Layout(
            form="python",
            folder="cifar-100-python",
            archive=_archive(
                "cifar-100-python.tar.gz",
                169_001_437,
                "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
            ),
            train=(Batch("train", 50_000),),
            test=(Batch("test", 10_000),),
            label_key="fine_labels",
            label_bytes=0,
        ),
        Layout(
            form="binary",
            folder="cifar-100-binary",
            archive=_archive(
                "cifar-100-binary.tar.gz",
                168_513_733,
                "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
            ),
            train=(Batch("train.bin", 50_000),),
            test=(Batch("test.bin", 10_000),),
            label_key="",
            label_bytes=2,
        ),
    ),
)

PUBLISHED = (CIFAR10, CIFAR100)
"""Every data set that is read from published files, in the order in which they are listed."""
