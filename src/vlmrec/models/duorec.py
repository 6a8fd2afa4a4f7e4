"""DuoRec: contrastive regularisation of SASRec (Qiu et al., WSDM 2022, arXiv 2110.05730).

Differs from the paper: rows are windows whose every position predicts its successor, as in
`vlmrec.models.sasrec`, instead of one row a position, and the contrast compares one random
position of each window in each step, which gives the two losses the same weight as in the paper
at a fraction of its cost; similarity is a cosine (`contrast.similarity`), and same-target rows
are no negatives of each other (`contrast.mask_same_target`).
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from vlmrec.core.protocols import BatchSource, LossSum, TrainingBatch
from vlmrec.core.random import Streams
from vlmrec.data.twin_batches import TwinBatches
from vlmrec.items.id_table import IdTable
from vlmrec.models.sasrec import SelfAttentive
from vlmrec.models.sequence import SequenceRecommender
from vlmrec.models.spec import CatalogShape, TrainingData
from vlmrec.objectives import AnyObjective
from vlmrec.objectives.sequence_contrast import SequenceContrast
from vlmrec.scoring import Scorer


class DuoRec(SelfAttentive):
    """SASRec whose states agree between dropout masks and between histories with one target."""

    name: ClassVar[str] = "duorec"
    summary: ClassVar[str] = "sasrec, with histories that lead to the same item drawn together"

    contrast: SequenceContrast = SequenceContrast()
    """The contrastive terms."""

    def build(self, shape: CatalogShape) -> "ContrastiveRecommender":
        """Returns the model with weights not yet drawn."""
        return ContrastiveRecommender(
            self.contrast,
            items=IdTable(shape.n_items, self.dim),
            users=self.user_encoder(),
            scorer=Scorer(self.scoring),
            objective=self.objective,
            n_items=shape.n_items,
            max_len=self.max_len,
        )

    def describe_loss(self) -> str:
        """Returns the loss, its negatives and the contrast."""
        return f"{super().describe_loss()} + contrast {self.contrast.mode}"


class ContrastiveRecommender(SequenceRecommender):
    """A sequence recommender whose user states are also contrasted with each other.

    Args:
        contrast: The contrastive terms.
        items: As of the base class, and so are all that follow.
        users: User encoder.
        scorer: Makes queries and keys.
        objective: The loss of next items.
        n_items: Number of items I.
        max_len: Longest history T.
    """

    def __init__(
        self,
        contrast: SequenceContrast,
        *,
        items: nn.Module,
        users: nn.Module,
        scorer: Scorer,
        objective: AnyObjective,
        n_items: int,
        max_len: int,
    ) -> None:
        super().__init__(
            items=items,
            users=users,
            scorer=scorer,
            objective=objective,
            n_items=n_items,
            max_len=max_len,
        )
        self.contrast = contrast
        self._told: list[tuple[Tensor, Tensor]] = []

    def batches(
        self, training: TrainingData, streams: Streams, *, batch_size: int, epochs: int
    ) -> BatchSource:
        """Returns windows of the training histories, with twins."""
        del epochs
        return TwinBatches.over(self.windows(training, streams, batch_size))

    def training_loss(self, batch: TrainingBatch) -> LossSum:
        """Returns the loss summed over all positions that have a target.

        Where the batch has twins, the contrast is added so that the mean over positions is the
        mean of both losses: of the one over positions, of the other over rows.
        """
        loss = super().training_loss(batch)
        if batch.twins is None or not len(batch.items):
            return loss
        contrast = self.contrast_rows(batch).mean()
        self._told.append((loss.total.detach() / loss.count, contrast.detach()))
        return LossSum(loss.total + contrast * loss.count, loss.count)

    def take_signals(self) -> dict[str, float]:
        """Returns the two parts of the loss, as means over the steps since the last call."""
        told, self._told = self._told, []
        if not told:
            return {}
        next_item, contrast = (torch.stack(part).mean().item() for part in zip(*told, strict=True))
        return {"next-item loss": next_item, "contrast": contrast}

    def contrast_rows(self, batch: TrainingBatch) -> Tensor:
        """Returns the contrastive terms of each row, ``[B]``.

        Raises:
            ValueError: The batch has no twins.
        """
        if batch.twins is None:
            raise ValueError("The contrast needs twins; the batch has none.")
        chosen, places = self.contrast, batch.twins.places  # places [B]
        width = int(places.max()) + 1
        later = torch.arange(width, device=places.device) > places[:, None]  # [B, T']
        past = batch.items[:, :width].masked_fill(later, 0)
        targets = batch.targets.gather(1, places[:, None])[:, 0]
        # Each call draws dropout masks of its own: the same histories give different states.
        return chosen(
            self.user_vectors(past) if chosen.needs_state else None,
            self.user_vectors(past) if chosen.needs_dropout_view else None,
            self.user_vectors(batch.twins.items) if chosen.needs_twin else None,
            targets,
        )
