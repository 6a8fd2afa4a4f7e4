"""What a model file provides: a frozen specification that builds the model.

A specification is what users name and configure (`SASRec(dim=64)`), what a run folder stores,
and what `build` turns into tensors. Hyper-parameters live here; how long and on what device to
train does not.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vlmrec.core.config import StrictConfig
from vlmrec.core.protocols import BatchSource, Ranker, Validation
from vlmrec.core.random import Streams
from vlmrec.data.catalog import Catalog
from vlmrec.data.sequences import Histories, IntArray
from vlmrec.items.content_tower import RawContent
from vlmrec.users.fpmc import UserFactors


@dataclass(frozen=True)
class CatalogShape:
    """All that building needs to know of a catalogue; stored in the run folder.

    Attributes:
        n_items: Number of items I.
        widths: Width of each modality's frozen vectors, by name.
        n_users: Number of users U, for models that learn something of each.
    """

    n_items: int
    widths: Mapping[str, int] = field(default_factory=dict[str, int])
    n_users: int = 0

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "CatalogShape":
        """Returns the shape that a run's record holds; older ones do not tell the users."""
        return cls(record["n_items"], record["widths"], record.get("n_users", 0))


@dataclass(frozen=True)
class Stage:
    """An earlier run that a model builds on.

    Attributes:
        folder: Its run folder.
        kinds: Names of the models that will do; empty means any.
    """

    folder: str
    kinds: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class TrainingData:
    """All that a model may learn from: training rows only.

    Attributes:
        histories: Training histories.
        shape: Of the catalogue.
        training_items: ``[P] int64`` internal ids that training may know.
        content: Frozen vectors by modality, ``[I + 1, W]``.
        catalog: Words and pictures of all items, for models that read them themselves.
        cache: Folder where what frozen parts of a model see in pictures is kept between runs.
        fingerprint: Of the split that these rows are the training part of; a model that builds
            on another run refuses one of another split, which may have seen test rows.
    """

    histories: Histories
    shape: CatalogShape
    training_items: IntArray
    content: Mapping[str, RawContent] = field(default_factory=dict[str, RawContent])
    catalog: Catalog | None = None
    cache: Path | None = None
    fingerprint: str = ""


class Recommender(nn.Module):
    """Base of every model: takes in training data, then ranks.

    Models that learn by gradients also have ``training_loss`` (see
    `vlmrec.core.protocols.Trainable`) and say how their batches look.
    """

    max_len: int

    def initialise(self, streams: Streams, device: torch.device) -> None:
        """Draws all weights from a named stream, or loads those that are pretrained.

        Matrices are normal(0, .02), biases 0, norms 1.

        Args:
            streams: Where random numbers come from.
            device: Where the model will be trained.
        """
        del device
        draw_weights(self, streams.torch("init"))

    @abstractmethod
    def prepare(self, training: TrainingData) -> None:
        """Takes in what is counted or looked up rather than learned."""

    @abstractmethod
    def ranker(self, item_vectors: Tensor | None = None) -> Ranker:
        """Returns a frozen view for ranking.

        Args:
            item_vectors: ``[I' + 1, D]`` to rank with instead of the model's own (stored, or
                extended by new items); models without item vectors take none.
        """

    def batches(
        self, training: TrainingData, streams: Streams, *, batch_size: int, epochs: int
    ) -> BatchSource | None:
        """Returns what the model learns from, step by step; None if it counts, not learns.

        Args:
            training: What `prepare` took in.
            streams: Where random numbers come from.
            batch_size: Rows of a batch, over all processes.
            epochs: Longest that training may take.
        """
        del training, streams, batch_size, epochs
        return None

    def validation(self) -> Validation | None:
        """Returns what epochs are chosen by, for models that are not trained to rank."""
        return None

    def settle(self) -> None:
        """Ends training: makes the weights those that will be stored (LoRA merged in, say)."""

    def with_items(self, catalog: Catalog) -> "tuple[Recommender, Tensor] | None":
        """Returns a model that also knows the items of `catalog`, and their vectors.

        For models that read words and pictures themselves; None for all others.

        Args:
            catalog: n new items, behind those that are known.

        Returns:
            The model, and ``[n, D]`` as in its ranker's ``item_vectors``; zero rows stand for
            items that the model can read nothing of.
        """
        del catalog
        return None

    def vectors_at(self, items: Tensor) -> Tensor | None:
        """Returns the vectors ``[n, D]`` that were learned for items ``[n] int64``.

        None for models without item vectors.
        """
        vectors = getattr(self.ranker(), "item_vectors", None)
        return vectors[items] if isinstance(vectors, Tensor) else None

    def own_weights(self) -> dict[str, Tensor]:
        """Returns the weights that go into ``model.safetensors``."""
        return dict(self.state_dict())

    def take_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Takes in what `own_weights` gave.

        Raises:
            RuntimeError: They do not fit.
        """
        self.load_state_dict(weights)

    def write_parts(self, folder: Path) -> list[str]:
        """Writes what does not fit into ``model.safetensors``, such as a checkpoint.

        Args:
            folder: The run folder.

        Returns:
            The files' names relative to `folder`; they are hash-checked.
        """
        del folder
        return []

    def content_vectors(self, content: Mapping[str, RawContent]) -> Tensor | None:
        """Returns ``[n, D]`` vectors of items known only by content, None if it cannot."""
        del content
        return None

    def known_content(self) -> Mapping[str, RawContent] | None:
        """Returns the frozen content ``[I + 1, W]`` that item vectors are learned from.

        By modality; None for models that learn them from anything else, or learn none.
        """
        return None


class ModelSpec(StrictConfig):
    """Base of every model's specification."""

    name: ClassVar[str]
    """What the command line and run folders call it."""
    summary: ClassVar[str]
    """One line for `--help` and the report."""

    def content(self) -> dict[str, str]:
        """Returns which frozen vectors are needed: modality -> encoder or vector file."""
        return {}

    def stages(self) -> dict[str, Stage]:
        """Returns which trained models it builds on: option -> run."""
        return {}

    @abstractmethod
    def build(self, shape: CatalogShape) -> Recommender:
        """Returns the model with weights not yet drawn."""

    def alone(self, modality: str) -> "ModelSpec | None":
        """Returns the same model reading one modality only, None where there is no such thing.

        Args:
            modality: "text" or "image".
        """
        del modality
        return None

    def restore(self, shape: CatalogShape, folder: Path) -> Recommender:
        """Returns the model for a stored run, ready to take its weights.

        Args:
            shape: Of the catalogue.
            folder: The run folder, with what `Recommender.write_parts` wrote.
        """
        del folder
        return self.build(shape)

    def describe_loss(self) -> str:
        """Returns the loss and its negatives, for the caption of every table."""
        return "none (counted, not trained)"


def draw_weights(model: nn.Module, generator: torch.Generator) -> None:
    """Draws all weights: matrices normal(0, .02), biases 0, norms 1.

    Matrices of recurrent layers are uniform up to 1/sqrt(hidden): their product over many steps
    would fade at .02. Users' own vectors are 0, so that those without training rows stay unknown.
    """
    for module in model.modules():
        for name, weight in module.named_parameters(recurse=False):
            with torch.no_grad():
                if isinstance(module, nn.LayerNorm):
                    weight.fill_(1.0 if name == "weight" else 0.0)
                elif isinstance(module, UserFactors):
                    weight.zero_()
                elif weight.dim() >= 2 and isinstance(module, nn.RNNBase):
                    bound = module.hidden_size**-0.5
                    weight.uniform_(-bound, bound, generator=generator)
                elif weight.dim() >= 2:
                    weight.normal_(0.0, 0.02, generator=generator)
                elif name.startswith("bias"):
                    weight.zero_()
