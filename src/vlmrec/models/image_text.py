"""Image-text alignment: a vision-language model learns that a picture means its item's words."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlmrec.core.dropout import stream_of
from vlmrec.core.protocols import LossSum, TrainingBatch
from vlmrec.objectives.pair_contrast import PairContrast
from vlmrec.vlm.gradient_cache import encode_in_chunks
from vlmrec.vlm.model import VisionLanguageModel
from vlmrec.vlm.prompts import Prompt, make_prompt


class ImageTextAlignment(nn.Module):
    """Contrasts the vector of each item's picture with that of its text.

    Satisfies `vlmrec.core.protocols.Trainable`; a batch's `items` are pairs ``[B, 1]``. Where no
    weight that reads texts learns, their vectors are computed once.

    Args:
        vlm: A model some of whose weights learn.
        texts: Of every pair; pair 1 comes first.
        pictures: Of every pair, readable.
        objective: The contrastive loss.
        chunk: Pictures (and texts) encoded at a time; more than fit into memory together are
            encoded again in the backward pass (gradient cache).
    """

    def __init__(
        self,
        vlm: VisionLanguageModel,
        texts: Sequence[str],
        pictures: Sequence[Path],
        objective: PairContrast,
        chunk: int,
    ) -> None:
        super().__init__()
        self.vlm = vlm
        self._texts = [make_prompt(text) for text in texts]
        self._pictures = [make_prompt(picture) for picture in pictures]
        groups = {text: number for number, text in enumerate(texts)}
        self._groups = torch.tensor([groups[text] for text in texts])
        self._objective = objective
        self._chunk = chunk
        self._known: Tensor | None = None

    def forward(self, batch: TrainingBatch) -> tuple[Tensor, int]:
        """Returns the summed loss and its count."""
        loss = self.training_loss(batch)
        return loss.total, loss.count

    def training_loss(self, batch: TrainingBatch) -> LossSum:
        """Returns the loss summed over the pairs of a batch."""
        rows = (batch.items[:, 0] - 1).tolist()
        seen = self._encoded([self._pictures[row] for row in rows])
        groups = self._groups[rows].to(seen.device)
        return self._objective(seen, self._read(rows), groups)

    def ranker(self) -> "PairRanker":
        """Returns a frozen view that ranks all texts for a picture."""
        self.eval()
        every = list(range(len(self._texts)))
        with torch.no_grad():
            pictures = _padded(self.vlm.encode(self._pictures))
            return PairRanker(pictures, _padded(self._read(every)))

    def _read(self, rows: list[int]) -> Tensor:
        if self.vlm.words_learn:
            return self._encoded([self._texts[row] for row in rows])
        if self._known is None:
            with torch.no_grad():
                self._known = self.vlm.encode(self._texts)
        return self._known[rows]

    def _encoded(self, prompts: list[Prompt]) -> Tensor:
        dropout = stream_of(self.vlm)
        return encode_in_chunks(self.vlm.encode, prompts, self._chunk, dropout=dropout)


class PairRanker:
    """Ranks the texts of all pairs for a picture; satisfies `vlmrec.core.protocols.Ranker`.

    Args:
        pictures: ``[I + 1, D]``, row 0 is padding.
        texts: ``[I + 1, D]``.
    """

    max_len = 1

    def __init__(self, pictures: Tensor, texts: Tensor) -> None:
        self._pictures = F.normalize(pictures, dim=-1)
        self._texts = F.normalize(texts, dim=-1)

    @property
    def n_items(self) -> int:
        """Number of pairs I."""
        return len(self._texts) - 1

    @property
    def device(self) -> torch.device:
        """Where pair numbers are expected."""
        return self._texts.device

    def encode(self, histories: Tensor) -> Tensor:
        """Returns ``[B, D]`` picture vectors for ``[B, 1]`` pair numbers."""
        return self._pictures[histories[:, 0]]

    def score(self, queries: Tensor, start: int, stop: int) -> Tensor:
        """Returns ``[B, stop - start] float32`` cosines with texts."""
        return queries @ self._texts[start:stop].T


def _padded(vectors: Tensor) -> Tensor:
    return torch.cat([vectors.new_zeros(1, vectors.shape[1]), vectors])
