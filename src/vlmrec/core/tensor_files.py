"""Tensors on disk as safetensors: nothing that is loaded can run code."""

import re
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from vlmrec.core.errors import ArtifactError
from vlmrec.core.files import atomic_file

_OS_ERROR = re.compile(r"os error (\d+)")
"""How safetensors tells what the system refused: the number, in words."""
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def save_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Writes tensors by name, atomically.

    Raises:
        DataError: The folder is read-only or the disk is full.
    """
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_file(path) as temporary:
        try:
            safetensors.torch.save_file(ready, temporary)  # pyright: ignore[reportUnknownMemberType]
        except safetensors.SafetensorError as error:
            number = _OS_ERROR.search(str(error))
            if number is None:
                raise
            raise OSError(int(number[1]), str(error)) from None


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Returns the tensors in a file, on the CPU.

    Raises:
        ArtifactError: The file is missing, damaged, or a pickle (which is never opened).
    """
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise ArtifactError(f"'{path}' cannot be read: {error.strerror}.") from None
    # A header of 640 bytes starts like a pickle, too; but the JSON behind its length does not.
    if start.startswith(_PICKLE_STARTS) and start[8:] != b"{":
        raise ArtifactError(
            f"'{path}' looks like a pickle; expected safetensors. "
            "A pickle can run code when it is opened, so it is refused.",
            "Convert it with the software that wrote it.",
        )
    try:
        return safetensors.torch.load_file(path)  # pyright: ignore[reportUnknownMemberType]
    except (safetensors.SafetensorError, ValueError, OSError) as error:
        raise ArtifactError(
            f"'{path}' is damaged: it is not a readable safetensors file ({error}).",
            "Restore it from a copy, or train again.",
        ) from None
