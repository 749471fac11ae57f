"""One image at a time, with scipy or numpy: what augmentation does to it; the shift as Keras's ImageDataGenerator."""

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


def crop_flip(
    image_HWC: npt.NDArray[np.float32], *, shift: tuple[int, int], flip: bool, padding: int, fill: str
) -> npt.NDArray[np.float32]:
    """Pad, cut out the image that begins (down, right) pixels from the unpadded corner, then mirror left and right."""
    height, width, _ = image_HWC.shape
    around = ((padding, padding), (padding, padding), (0, 0))
    padded = np.pad(image_HWC, around, mode="reflect" if fill == "reflect" else "constant")
    row, column = padding + shift[0], padding + shift[1]
    cropped = padded[row : row + height, column : column + width]
    return cropped[:, ::-1] if flip else cropped


def blank(image_HWC: npt.NDArray[np.float32], *, centre: tuple[int, int], side: int) -> npt.NDArray[np.float32]:
    """Write zeros into the square of `side` pixels whose first row and column are side // 2 before the centre's."""
    blanked = image_HWC.copy()
    row, column = centre[0] - side // 2, centre[1] - side // 2
    blanked[max(0, row) : max(0, row + side), max(0, column) : max(0, column + side)] = 0
    return blanked
