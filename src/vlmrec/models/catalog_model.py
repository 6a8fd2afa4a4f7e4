"""What models share that read words and pictures themselves, with a backbone of their own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from torch import Tensor

from vlmrec.models.catalog_files import write_contents
from vlmrec.models.catalog_reader import CatalogReader, ReadingOptions
from vlmrec.models.spec import Recommender, TrainingData
from vlmrec.vlm.model import VisionLanguageModel
from vlmrec.vlm.tuning import merge_lora
from vlmrec.vlm.visual_cache import VisualCache


class CatalogModel(Recommender):
    """A backbone that reads a catalogue; a run folder holds both.

    Args:
        inputs: Which modalities are read.
        max_len: Longest history that is read.
        vlm: What reads; None until `initialise`.
        reader: What is read; None until `prepare`.
    """

    def __init__(
        self,
        inputs: Literal["both", "text", "image"],
        max_len: int,
        vlm: VisionLanguageModel | None,
        reader: CatalogReader | None,
    ) -> None:
        super().__init__()
        self.modalities: tuple[str, ...] = ("text", "image") if inputs == "both" else (inputs,)
        self.max_len = max_len
        self.vlm = vlm
        self._reader = reader

    @property
    def reader(self) -> CatalogReader:
        """Words and pictures of the catalogue, and what reads them."""
        if self._reader is None:
            raise ValueError("The model knows no items yet: call prepare first.")
        return self._reader

    def learns(self) -> bool:
        """Returns whether any weight of the backbone learns."""
        return self.vlm is not None and any(one.requires_grad for one in self.vlm.parameters())

    def read_catalog(
        self, training: TrainingData, reading: ReadingOptions, text_fields: Sequence[str] | None
    ) -> None:
        """Takes in words and pictures; each picture is looked at once, to see if it can be.

        Args:
            training: With a catalogue.
            reading: How items and histories become prompts.
            text_fields: Columns that make up an item's words; None: the catalogue's default.
        """
        if self.vlm is None or training.catalog is None:
            raise ValueError("A backbone and a catalogue are needed first.")
        if training.cache is not None and not self.vlm.vision_learns:
            cache = VisualCache(training.cache, self.vlm.visual_identity())
            self.vlm.use_visual_cache(cache)
        texts = ["", *training.catalog.texts(text_fields)]
        pictures = [None, *training.catalog.image_paths()]
        self._reader = CatalogReader.over(self.vlm, reading, texts, pictures)

    def settle(self) -> None:
        """Merges LoRA into the backbone: one rounding less between training and service."""
        merge_lora(self.reader.vlm)

    def own_weights(self) -> dict[str, Tensor]:
        """Returns nothing: the backbone is stored as a checkpoint of its own."""
        return {}

    def take_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Takes nothing in; the backbone was loaded with the run folder."""
        if weights:
            raise RuntimeError(f"unexpected weights, the first is '{next(iter(weights))}'")

    def write_parts(self, folder: Path) -> list[str]:
        """Writes the backbone (LoRA merged in), words and pictures."""
        return write_contents(self.reader, folder)
