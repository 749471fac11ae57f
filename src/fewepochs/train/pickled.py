"""The tensors of a checkpoint of format 1: torch.save's zip archive around a pickle, read without running any of it.

torch's restricted reader (`weights_only`) builds tensors and plain values alone. Before it sees the bytes, the archive
must hold nothing that is packed (a small file cannot become a large one), and the pickle may name nothing but what
a dictionary of tensors needs (the reader itself would let a pickle ask for a byte array of any size).
"""

from __future__ import annotations

import io
import pickletools
import zipfile
from collections.abc import Iterator

import torch
from torch import Tensor

_NEEDED = {"torch._utils _rebuild_tensor_v2", "collections OrderedDict"}
_STORAGES = ("Double", "Float", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool", "Complex")


def tensors(body: bytes | memoryview) -> dict[str, Tensor]:
    """Return the tensors in `body`, by name; raises ValueError where it holds anything else."""
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            members = archive.infolist()
            if any(member.compress_type != zipfile.ZIP_STORED for member in members):
                raise ValueError("packed")
            for member in members:
                if member.filename.endswith(".pkl"):
                    foreign = sorted(set(_names(archive.read(member))) - _NEEDED - _storages())
                    if foreign:
                        raise ValueError(f"it names {foreign[0]:.80}")
        found = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    except Exception as error:  # torch names a dozen types, zipfile's and pickle's among them
        raise ValueError(f"not a checkpoint of tensors: {type(error).__name__}") from None
    if not isinstance(found, dict) or not all(isinstance(t, Tensor) and isinstance(n, str) for n, t in found.items()):
        raise ValueError("not a checkpoint of tensors")
    return found


def _storages() -> set[str]:
    return {f"torch {name}Storage" for name in (*_STORAGES, "ComplexFloat", "ComplexDouble")}


def _names(program: bytes) -> Iterator[str]:
    """Return what a pickle names: module and name, as GLOBAL has them; anything newer is not torch's and is refused."""
    for opcode, argument, _ in pickletools.genops(program):
        if opcode.name in ("STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4", "OBJ", "NEWOBJ", "NEWOBJ_EX"):
            yield opcode.name
        elif opcode.name == "GLOBAL":
            yield str(argument)
