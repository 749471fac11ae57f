"""Write src/fewepochs/data/digits.npz from the digits that scikit-learn carries; made with scikit-learn 1.9.1.

    python tools/make_digits.py [DESTINATION]

Prints the versions used. The file is the same byte for byte each time: the zip's time stamps are fixed.
"""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import sklearn
from sklearn.datasets import load_digits

DESTINATION = Path(__file__).parents[1] / "src" / "fewepochs" / "data" / "digits.npz"


def digits() -> dict[str, npt.NDArray[np.uint8]]:
    """Return `pixels` uint8 [1797, 8, 8] with values 0..16 and `labels` uint8 [1797]."""
    bunch = load_digits()
    pixels, labels = bunch.images.astype(np.uint8), bunch.target.astype(np.uint8)
    assert (pixels == bunch.images).all()
    assert (labels == bunch.target).all()
    assert pixels.shape == (1797, 8, 8)
    assert pixels.max() == 16
    return {"pixels": pixels, "labels": labels}


def main(destination: Path) -> None:
    with zipfile.ZipFile(destination, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in digits().items():
            content = io.BytesIO()
            np.save(content, array, allow_pickle=False)
            member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, content.getvalue())
    size = destination.stat().st_size
    print(f"{destination}: {size:,} bytes, from scikit-learn {sklearn.__version__}, numpy {np.__version__}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DESTINATION)
