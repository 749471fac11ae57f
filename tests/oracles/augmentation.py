"""One image at a time, with scipy: what Keras's ImageDataGenerator does to it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage


def shift_flip(
    image_HWC: npt.NDArray[np.float32], *, shift: tuple[float, float], flip: bool
) -> npt.NDArray[np.float32]:
    """Shift by (down, right) pixels with bilinear interpolation and repeated edges, then mirror left and right."""
    channels = [
        ndimage.affine_transform(image_HWC[..., c], np.eye(2), shift, order=1, mode="nearest")
        for c in range(image_HWC.shape[-1])
    ]
    shifted = np.stack(channels, axis=-1)
    return shifted[:, ::-1] if flip else shifted
