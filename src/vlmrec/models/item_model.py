"""Molar's item model at work: learns answers to questions, then makes item vectors."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from vlmrec.core.content_change import ContentChange
from vlmrec.core.dropout import stream_of
from vlmrec.core.errors import ConfigError
from vlmrec.core.lessons import Lesson
from vlmrec.core.protocols import LossSum, TrainingBatch, Validation
from vlmrec.core.random import Streams
from vlmrec.data.catalog import Catalog
from vlmrec.data.row_batches import RowBatches
from vlmrec.models.catalog_files import read_reader
from vlmrec.models.catalog_model import CatalogModel
from vlmrec.models.catalog_reader import CatalogReader
from vlmrec.models.mean_ranker import MeanRanker
from vlmrec.models.mirm_lessons import lessons_of, misled
from vlmrec.models.mirm_tasks import TASKS, Example, make_examples
from vlmrec.models.mirm_templates import CUR_ITEM
from vlmrec.models.spec import TrainingData
from vlmrec.vlm.gradient_cache import encode_in_chunks
from vlmrec.vlm.loading import load_vlm
from vlmrec.vlm.model import VisionLanguageModel

if TYPE_CHECKING:
    from vlmrec.models.mirm import Mirm

_AT_A_TIME = 64  # examples whose loss is measured together


class ItemModel(CatalogModel):
    """Reads items.

    Satisfies `Trainable`, `Monitored` and `Growing` of `core.protocols`, and `Taught` of
    `core.lessons`.

    Args:
        spec: Hyper-parameters.
        vlm: What reads; None until `initialise`.
        reader: What is read; None until `prepare`.
    """

    def __init__(
        self,
        spec: "Mirm",
        vlm: VisionLanguageModel | None = None,
        reader: CatalogReader | None = None,
    ) -> None:
        super().__init__(spec.inputs, spec.max_len, vlm, reader)
        self.spec = spec
        self._examples: list[Example] = []
        self._weights = torch.zeros(0)
        self._held_out: dict[str, list[Example]] = {}
        self._signals: dict[str, float] = {}

    @property
    def _taught(self) -> bool:
        return any(getattr(self.spec.tasks, name) is not None for name in TASKS)

    def initialise(self, streams: Streams, device: torch.device) -> None:
        """Loads the backbone; what it adds (``[Cur_Item]``, LoRA) is drawn."""
        spec = self.spec
        seed = streams.child_seed("backbone")
        self.vlm = load_vlm(spec.backbone, spec.feeding(), spec.tuning, device=device, seed=seed)
        self.vlm.add_special_tokens([CUR_ITEM], seed=seed)
        if self._taught and not self.learns():
            raise ConfigError(
                f"With tuning.kind={spec.tuning.kind} nothing of the backbone learns.",
                "Use --set tuning.kind=full, lora or connectors; switch the tasks off to have "
                "the backbone as it is.",
            )

    def prepare(self, training: TrainingData) -> None:
        """Takes in words and pictures."""
        self.read_catalog(training, self.spec.reading(), self.spec.text_fields)

    def batches(
        self, training: TrainingData, streams: Streams, *, batch_size: int, epochs: int
    ) -> RowBatches | None:
        """Returns every example once an epoch; None where all tasks are off."""
        del epochs
        if not self._taught or training.catalog is None:
            return None
        made = make_examples(
            training.catalog,
            training.histories,
            training.training_items,
            self.reader.pictures,
            inputs=self.spec.inputs,
            options=self.spec.tasks,
            streams=streams,
        )
        learned = self._divide(made, streams)
        self._examples = [one for examples in learned.values() for one in examples]
        self._weights = torch.cat([self._weighed(*item) for item in learned.items()])
        rows = np.arange(1, len(self._examples) + 1)
        return RowBatches(rows, batch_size, streams)

    def _divide(self, made: dict[str, list[Example]], streams: Streams) -> dict[str, list[Example]]:
        """Returns the examples to learn from; the others are kept for `validation`.

        The tasks that tell of one item hold out the same items: what one of them is asked, the
        other must not have been told. Every task of two examples holds out one at least.
        """
        per_item = streams.numpy("held-out items").random(self.reader.n_items + 1)
        held_items = per_item < self.spec.held_out
        for name, examples in made.items():
            items = [one.item for one in examples]
            if name != "behaviour" and len(items) > 1 and not held_items[items].any():
                held_items[items[int(per_item[items].argmin())]] = True
        learned: dict[str, list[Example]] = {}
        for name, examples in made.items():
            held = held_items[[one.item for one in examples]]
            if name == "behaviour":
                draws = streams.numpy("held-out examples").random(len(examples))
                held = draws < self.spec.held_out
                if len(examples) > 1 and not held.any():
                    held[draws.argmin()] = True
            pairs = list(zip(examples, held, strict=True))
            self._held_out[name] = [one for one, out in pairs if out]
            learned[name] = [one for one, out in pairs if not out]
        return learned

    def _weighed(self, name: str, examples: list[Example]) -> Tensor:
        """Returns each example's weight before normalisation: a task's weights sum to its own."""
        if not examples:
            return torch.zeros(0)
        return torch.full((len(examples),), getattr(self.spec.tasks, name).weight / len(examples))

    def forward(self, batch: TrainingBatch) -> tuple[Tensor, int]:
        """Returns the summed loss and its count."""
        loss = self.training_loss(batch)
        return loss.total, loss.count

    def training_loss(self, batch: TrainingBatch) -> LossSum:
        """Returns the weighted loss summed over a batch's examples.

        Over an epoch every task has its weight's say, however many examples it has: that is
        L_IT + L_SA + L_UB with each the mean over its examples, up to one factor.
        """
        rows = (batch.items[:, 0] - 1).tolist()
        examples = [self._examples[row] for row in rows]
        losses = encode_in_chunks(
            self._losses, examples, self.spec.chunk, dropout=stream_of(self)
        )  # [B]
        weights = self._weights[rows] / self._weights.mean()
        self._note(examples, losses.detach())
        return LossSum((losses * weights.to(losses.device)).sum(), len(rows))

    def take_signals(self) -> dict[str, float]:
        """Returns the mean loss of each task since the last call, and on held-out examples."""
        found, self._signals = self._signals, {}
        sums = {name: value for name, value in found.items() if not name.startswith("n ")}
        return {name: value / found.get(f"n {name}", 1.0) for name, value in sums.items()}

    def validation(self) -> Validation | None:
        """Returns minus the weighted mean loss on held-out examples."""
        return Validation("minus token loss", self._measure)

    @torch.no_grad()
    def held_out_losses(self) -> dict[str, float]:
        """Returns the mean token loss in nats on held-out examples, by task."""
        return self._mean_losses(self._held_out)

    def _mean_losses(self, asked: Mapping[str, Sequence[Example]]) -> dict[str, float]:
        self.eval()
        found: dict[str, float] = {}
        for name, examples in asked.items():
            starts = range(0, len(examples), _AT_A_TIME)
            parts = [self._losses(examples[start : start + _AT_A_TIME]) for start in starts]
            if parts:
                found[name] = float(torch.cat(parts).mean())
        return found

    def held_out(self) -> Mapping[str, list[Example]]:
        """Returns the examples that were not learned from, by task."""
        return self._held_out

    def learned(self) -> Mapping[str, list[Example]]:
        """Returns the examples that were learned from, by task."""
        return {name: [one for one in self._examples if one.task == name] for name in TASKS}

    @torch.no_grad()
    def lessons(self, losses_before: Mapping[str, float], streams: Streams) -> tuple[Lesson, ...]:
        """Returns how well the model answers the held-out examples now, by task."""
        return lessons_of(
            self.reader.vlm,
            self.learned(),
            self._held_out,
            before=losses_before,
            after=self.held_out_losses(),
            misled=self._mean_losses({n: misled(one) for n, one in self._held_out.items()}),
            streams=streams,
        )

    def _measure(self) -> float:
        found = self.held_out_losses()
        self._signals |= {f"held-out {name}": loss for name, loss in found.items()}
        weights = {name: getattr(self.spec.tasks, name).weight for name in found}
        if not weights:  # too few examples to hold one out: no epoch is better than the first
            return 0.0
        return -sum(weights[name] * found[name] for name in found) / sum(weights.values())

    def _losses(self, examples: Sequence[Example]) -> Tensor:
        prompts = [one.prompt for one in examples]
        return self.reader.vlm.token_loss(prompts, [one.answer for one in examples])

    def _note(self, examples: list[Example], losses: Tensor) -> None:
        for one, loss in zip(examples, losses.tolist(), strict=True):
            for name, value in ((one.task, loss), (f"n {one.task}", 1.0)):
                self._signals[name] = self._signals.get(name, 0.0) + value

    def ranker(self, item_vectors: Tensor | None = None) -> MeanRanker:
        """Returns a frozen view that ranks by the mean vector of a history."""
        self.eval()
        vectors = self.reader.everything().flat() if item_vectors is None else item_vectors
        return MeanRanker(vectors.to(self.reader.vlm.device), self.max_len)

    def ranker_with(self, changes: Mapping[str, ContentChange]) -> MeanRanker:
        """Returns a frozen view in which items show other content than their own."""
        self.eval()
        return MeanRanker(self.reader.changed(changes).everything().flat(), self.max_len)

    def ranker_grown(self, changes: Mapping[str, ContentChange], known: Tensor) -> MeanRanker:
        """Returns what `ranker_with` does; items of the `known` vectors are not read again."""
        self.eval()
        new = self.reader.changed(changes).beyond(len(known) - 1).flat()
        return MeanRanker(torch.cat([known.to(new.device), new]), self.max_len)

    def with_items(self, catalog: Catalog) -> "tuple[ItemModel, Tensor]":
        """Returns a model that also reads the items of `catalog`, and their vectors."""
        self.eval()
        fields = self.spec.text_fields or catalog.default_text_fields()
        reader, added = self.reader.with_catalog(catalog, fields)
        return ItemModel(self.spec, self.vlm, reader).eval(), added.flat().cpu()

    @classmethod
    def from_folder(cls, spec: "Mirm", folder: Path, n_items: int) -> "ItemModel":
        """Returns the model that `write_parts` wrote.

        Raises:
            ArtifactError: A file is missing or damaged.
        """
        reader = read_reader(
            folder, spec.reading(), spec.feeding(), n_items, vision_learned=spec.tuning.vision
        )
        return cls(spec, reader.vlm, reader)
