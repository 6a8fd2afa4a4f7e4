"""A vision-language model as recommender: reads histories and items, learns by contrast."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from vlmrec.core.columns import PADDING_ID
from vlmrec.core.content_change import ContentChange
from vlmrec.core.dropout import RowDraws
from vlmrec.core.errors import ConfigError
from vlmrec.core.protocols import LossSum, TrainingBatch
from vlmrec.core.random import Streams
from vlmrec.data.catalog import Catalog
from vlmrec.data.negatives import UniformNegatives
from vlmrec.data.prefix_batches import PrefixBatches
from vlmrec.data.sequences import gather_padded
from vlmrec.models.branch_loss import branch_scores, figures, loss_rows, single_rows
from vlmrec.models.branch_ranker import BranchRanker, Readout
from vlmrec.models.branch_signals import Signals, gradient_shares
from vlmrec.models.branches import Branches
from vlmrec.models.catalog_files import read_reader
from vlmrec.models.catalog_model import CatalogModel
from vlmrec.models.catalog_reader import CatalogReader
from vlmrec.models.spec import Recommender, TrainingData
from vlmrec.objectives.branch_scores import BranchScores
from vlmrec.vlm.loading import load_vlm
from vlmrec.vlm.model import VisionLanguageModel
from vlmrec.vlm.prompts import Prompt

if TYPE_CHECKING:
    from vlmrec.models.vlm2rec import VLM2Rec

_FIGURES_EVERY = 5  # steps; measuring them costs as much as the losses themselves


class TwoBranchRecommender(CatalogModel):
    """Scores an item by the cosine of what the model makes of it and of a history.

    Satisfies `Trainable`, `Monitored` and `Growing` of `vlmrec.core.protocols`.

    Args:
        spec: Hyper-parameters.
        vlm: What reads; None until `initialise`.
        reader: What is read; None until `prepare`.
    """

    def __init__(
        self,
        spec: "VLM2Rec",
        vlm: VisionLanguageModel | None = None,
        reader: CatalogReader | None = None,
    ) -> None:
        super().__init__(spec.inputs, spec.max_len, vlm, reader)
        self.spec = spec
        self.draws = RowDraws()
        self._signals = Signals()
        self._steps = 0
        self._memory: dict[Prompt, Tensor] = {}

    def initialise(self, streams: Streams, device: torch.device) -> None:
        """Loads the backbone; what it adds (LoRA, a projector) is drawn."""
        spec = self.spec
        seed = streams.child_seed("backbone")
        self.vlm = load_vlm(spec.backbone, spec.vlm, spec.tuning, device=device, seed=seed)
        if not self.learns():
            raise ConfigError(
                f"With tuning.kind={spec.tuning.kind} nothing of the backbone learns.",
                "Use --set tuning.kind=lora, connectors or full; train for 0 epochs to measure "
                "the backbone as it is.",
            )

    def prepare(self, training: TrainingData) -> None:
        """Takes in words and pictures; each picture is looked at once, to see if it can be."""
        self.read_catalog(training, self.spec.reading(), self.spec.text_fields)

    def batches(
        self, training: TrainingData, streams: Streams, *, batch_size: int, epochs: int
    ) -> PrefixBatches:
        """Returns one random target of each user an epoch, with the events before it."""
        wanted = self.spec.n_negatives
        negatives = (
            UniformNegatives.over(training.training_items, training.histories, "nothing")
            if wanted
            else None
        )
        return PrefixBatches(
            training.histories,
            self.max_len,
            batch_size,
            epochs,
            streams,
            self.spec.targets_per_user,
            negatives,
            wanted,
        )

    def forward(self, batch: TrainingBatch) -> tuple[Tensor, int]:
        """Returns the summed loss and its count."""
        loss = self.training_loss(batch)
        return loss.total, loss.count

    def training_loss(self, batch: TrainingBatch) -> LossSum:
        """Returns the loss summed over all targets of a batch.

        Each target is told apart from the batch's other targets (and sampled items), items of
        its own history excepted. Rows of which nothing can be read count, with loss 0.
        """
        self._memory.clear()
        items, goals = _prefixes(batch, self.max_len)
        others = [] if batch.negatives is None else [batch.negatives.flatten()]
        candidates, place = torch.cat([goals, *others]).unique(return_inverse=True)
        targets = place[: len(goals)]
        queries, keys = self.reader.pairs(items, candidates)
        if len(queries.names) == 1:
            rows = single_rows(queries, keys, candidates, targets, items, self.spec.info_nce)
            return LossSum(rows.sum(), len(rows))
        draws = self.draws(len(goals)) if self.training else None
        scores = branch_scores(self.spec, queries, keys, candidates, targets, items)
        rows = loss_rows(self.spec, scores, keys, candidates, batch.progress, draws)
        loss = LossSum(rows.sum(), len(rows))
        if self.training and torch.is_grad_enabled():
            self._note(loss, scores, queries, keys)
        return loss

    def _note(self, loss: LossSum, scores: BranchScores, queries: Branches, keys: Branches) -> None:
        if self._steps % _FIGURES_EVERY == 0:
            told, n_rows = figures(self.spec, scores)
            self._signals.note(told, float(n_rows))
        every = self.spec.measure_every
        if every and self._steps % every == 0:
            weights = [weight for weight in self.parameters() if weight.requires_grad]
            self._signals.note(gradient_shares(loss.total, [queries, keys], weights))
        self._steps += 1

    def take_signals(self) -> dict[str, float]:
        """Returns what was noted of the branches since the last call."""
        return self._signals.take()

    def ranker(
        self, item_vectors: Tensor | None = None, readout: Readout | None = None
    ) -> BranchRanker:
        """Returns a frozen view.

        Args:
            item_vectors: ``[I' + 1, P * D]`` to rank with; None reads all items again.
            readout: Overrides the `scoring` of the specification.
        """
        return self._ranker(self.reader, item_vectors, readout)

    def ranker_with(
        self, changes: Mapping[str, ContentChange], readout: Readout | None = None
    ) -> BranchRanker:
        """Returns a frozen view in which items show other content than their own.

        Views remember what they have read and share it, until the model is trained again: most
        prompts are the same in all of them.
        """
        return self._ranker(self._changed(changes), None, readout)

    def ranker_grown(self, changes: Mapping[str, ContentChange], known: Tensor) -> BranchRanker:
        """Returns what `ranker_with` does; items of the `known` vectors are not read again."""
        self.eval()
        reader = self._changed(changes)
        if known.shape[1] != len(reader.options.names) * reader.vlm.width:
            return self._ranker(reader, None, None)  # the first item with a picture, or words
        new = reader.beyond(len(known) - 1).flat()
        return self._ranker(reader, torch.cat([known.to(new.device), new]), None)

    def _changed(self, changes: Mapping[str, ContentChange]) -> CatalogReader:
        return replace(self.reader, memory=self._memory).changed(changes)

    def _ranker(
        self, reader: CatalogReader, vectors: Tensor | None, readout: Readout | None
    ) -> BranchRanker:
        self.eval()
        if vectors is None:
            vectors = reader.everything().flat()
        ready = vectors.to(reader.vlm.device)
        return BranchRanker(reader, ready, readout or self.spec.scoring, self.max_len)

    def settle(self) -> None:
        """Forgets what was read on the way, and merges LoRA into the backbone."""
        self._memory.clear()
        super().settle()

    def with_items(self, catalog: Catalog) -> tuple[Recommender, Tensor]:
        """Returns a model that also reads the items of `catalog`, and their vectors."""
        self.eval()
        reader, added = self.reader.with_catalog(catalog, self.spec.text_fields)
        model = TwoBranchRecommender(self.spec, self.vlm, reader).eval()
        model._memory = self._memory  # the same backbone: what views have read stays read
        return model, added.flat().cpu()

    @classmethod
    def from_folder(cls, spec: "VLM2Rec", folder: Path, n_items: int) -> "TwoBranchRecommender":
        """Returns the model that `write_parts` wrote.

        Raises:
            ArtifactError: A file is missing or damaged.
        """
        reader = read_reader(
            folder, spec.reading(), spec.vlm, n_items, vision_learned=spec.tuning.vision
        )
        return cls(spec, reader.vlm, reader)


def _prefixes(batch: TrainingBatch, max_len: int) -> tuple[Tensor, Tensor]:
    """Returns the history ``[M, T]`` before each of the M targets ``[M]`` of a batch."""
    rows, places = (batch.targets != PADDING_ID).nonzero(as_tuple=True)
    ends = (rows * batch.items.shape[1] + places + 1).cpu().numpy()
    lengths = (places + 1).clamp_max(max_len).cpu().numpy()
    flat = batch.items.cpu().numpy().astype(np.int32).ravel()
    histories = torch.as_tensor(gather_padded(flat, ends - lengths, lengths))
    return histories.to(batch.items.device), batch.targets[rows, places]
