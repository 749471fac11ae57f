"""Handwritten digits, embedded: 1,797 images of 8x8 pixels with 17 grey levels; small enough for a first run and tests.

Alpaydin & Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository 1998,
https://doi.org/10.24432/C50P49, CC BY 4.0; the images that scikit-learn carries, in its order. The first 1,437 are the
training part, the last 360 the test part.
"""

from __future__ import annotations

import io
from importlib import resources

import numpy as np

from fewepochs.data import npz
from fewepochs.data.images import DataSet, Images, digest
from fewepochs.errors import DataError

COUNT = 1797
TRAIN = 1437
DIGEST = "fd790c3cf2b2d50e85c6442ffc1fab2e4e853246c57cc2e95a1f934a4e2c4bc4"
"""The digest of the data set, with its split; a file that gives another one is damaged."""


def load() -> DataSet:
    """Return the digits; raises DataError if the installed file is missing or damaged."""
    try:
        content = (resources.files("fewepochs") / "data" / "digits.npz").read_bytes()
    except OSError as error:
        raise DataError(f"The embedded digits cannot be read ({error}); install fewepochs anew.") from None
    arrays = npz.read_arrays(io.BytesIO(content), required=("pixels", "labels"), where="the embedded digits.npz")
    pixels, labels = arrays["pixels"][..., None], arrays["labels"].astype(np.int64)
    train = Images(pixels[:TRAIN], labels[:TRAIN])
    test = Images(pixels[TRAIN:], labels[TRAIN:])
    found = digest(train, test)
    if found != DIGEST:
        raise DataError(f"The embedded digits are damaged (digest {found}, expected {DIGEST}); install fewepochs anew.")
    return DataSet(
        kind="digits",
        train=train,
        test=test,
        classes=tuple("0123456789"),
        white=16,
        digest=found,
        origin="embedded in fewepochs",
        verified="digest known to fewepochs",
    )
