"""Qwen3-VL and the Qwen3-VL-Embedding checkpoints: DeepStack visual features."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vlmrec.vlm.families.base import PromptBatch
from vlmrec.vlm.families.qwen2_vl import Qwen2VL


class Qwen3VL(Qwen2VL):
    """Features of several tower depths are added to the first layers of the language body.

    They travel side by side in one row, ``[n, (1 + K) * D]``: first what is put in place of the
    tokens, then one block for each of the first K layers (DeepStack, arXiv 2406.04334).
    """

    name = "qwen3_vl"

    def rows(self, seen: Any) -> list[Tensor]:
        """Returns ``[n_i, (1 + K) * D]`` for each picture."""
        depths = [seen.pooler_output, *seen.deepstack_features]
        return [torch.cat(blocks, dim=-1) for blocks in zip(*depths, strict=True)]

    def states(self, embeddings: Tensor, batch: PromptBatch) -> Tensor:
        """Returns the last hidden states ``[B, T, D]``."""
        language: Any = self.language
        return language(
            inputs_embeds=self.fill(embeddings, batch),
            attention_mask=batch.mask.long(),
            position_ids=self.positions(batch),
            use_cache=False,
            visual_pos_masks=batch.filled if batch.features else None,
            deepstack_visual_embeds=self._stacked(embeddings, batch),
        ).last_hidden_state

    def _stacked(self, embeddings: Tensor, batch: PromptBatch) -> Sequence[Tensor] | None:
        if not batch.features:
            return None
        rows = torch.cat([one.values for one in batch.features])[:, self.width :]
        return rows.to(embeddings.device, embeddings.dtype).split(self.width, dim=-1)
