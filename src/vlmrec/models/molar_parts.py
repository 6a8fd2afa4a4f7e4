"""What a run folder of Molar or HLLM holds besides own weights: the item model and the body."""

from pathlib import Path

from vlmrec.core.errors import ArtifactError
from vlmrec.core.files import read_json_object, write_json
from vlmrec.models.item_model import ItemModel
from vlmrec.models.mirm import Mirm
from vlmrec.vlm.loading import load_vlm
from vlmrec.vlm.model import VisionLanguageModel
from vlmrec.vlm.options import VlmOptions
from vlmrec.vlm.saving import save_vlm

_MIRM = "mirm.json"
_BODY = "body"


def write_parts(item_model: ItemModel, body: VisionLanguageModel | None, folder: Path) -> list[str]:
    """Writes the parts; returns their files' names relative to the run folder.

    The body is a whole checkpoint, with the word embeddings that it does not need: so it is read
    like any other.

    Args:
        item_model: With its backbone, words and pictures.
        body: The user model's, or None where it has none.
        folder: The run folder.

    Raises:
        DataError: The folder is read-only or the disk is full.
    """
    names = item_model.write_parts(folder)
    write_json(folder / _MIRM, item_model.spec.model_dump(mode="json"))
    names.append(_MIRM)
    if body is not None:
        save_vlm(body, folder / _BODY, overwrite=True)
        written = sorted(path for path in (folder / _BODY).rglob("*") if path.is_file())
        names += [str(path.relative_to(folder)) for path in written]
    return names


def read_parts(
    folder: Path, n_items: int, options: VlmOptions
) -> tuple[ItemModel, VisionLanguageModel | None]:
    """Returns what `write_parts` wrote.

    Args:
        folder: The run folder.
        n_items: Least number of items that must be there.
        options: How the body computes.

    Raises:
        ArtifactError: A file is missing or damaged.
    """
    if not (folder / _MIRM).is_file():
        raise ArtifactError(
            f"'{folder / _MIRM}' is missing; the run folder is incomplete.",
            "Restore it from a copy.",
        )
    spec = Mirm.parse(read_json_object(folder / _MIRM), f"'{folder / _MIRM}'")
    item_model = ItemModel.from_folder(spec, folder, n_items)
    body = load_vlm(str(folder / _BODY), options) if (folder / _BODY).is_dir() else None
    return item_model, body
