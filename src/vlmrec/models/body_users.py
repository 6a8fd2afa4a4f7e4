"""DUEG: the transformer body of a vision-language model as user encoder, over item vectors."""

from typing import Literal

import torch
from torch import Tensor, nn

from vlmrec.core.dropout import Dropout
from vlmrec.vlm.model import VisionLanguageModel
from vlmrec.vlm.summing_up import states_behind

Readout = Literal["user", "last"]
USER = "[User]"
"""The learned token whose last hidden state is the user's vector."""


class BodyUsers(nn.Module):
    """Reads item vectors where a language model reads words.

    Word embeddings, vision tower and language head are not used and do not learn. Item vectors
    come in with a spread of about 1 and are scaled to that of word embeddings, which is what
    the body's first layer is made for.

    Args:
        vlm: Whose body reads, with what learns of it marked (see `vlmrec.vlm.tuning`).
        readout: "user": the state of ``[User]`` behind the history (the paper's); "last": that
            of the latest item.
        dropout: On the item vectors.
        seed: Of the start value of ``[User]``.
    """

    def __init__(
        self, vlm: VisionLanguageModel, readout: Readout, dropout: float, seed: int = 0
    ) -> None:
        super().__init__()
        self.vlm = vlm
        self.readout: Readout = readout
        self.dropout = Dropout(dropout)
        if readout == "user":
            vlm.add_special_tokens([USER], seed=seed)
        self._scale = float(vlm.family.word_embeddings.weight.detach().float().std())
        self._freeze_the_rest()

    def _freeze_the_rest(self) -> None:
        family = self.vlm.family
        used = {id(one) for one in family.language.parameters()} | {id(self.vlm.learned.table)}
        used -= {id(one) for one in family.word_embeddings.parameters()}
        for weight in self.vlm.parameters():
            if id(weight) not in used or not weight.numel():
                weight.requires_grad_(False)

    def forward(self, vectors: Tensor, mask: Tensor, wanted: Tensor | None = None) -> Tensor:
        """Returns the state after each item.

        Args:
            vectors: ``[B, T, D]`` item vectors, padded on the right.
            mask: ``[B, T] bool``, true where there is an item.
            wanted: ``[B, T] bool``, after which items a state is asked for; None: after the
                last of each row.

        Returns:
            ``[B, T, D] float32``; zero where no state was asked for.
        """
        inputs = self.dropout(vectors) * self._scale
        if self.readout == "last":
            return self.vlm.body(inputs, mask).float()
        if wanted is None:
            last = (mask.sum(dim=1) - 1).clamp_min(0)
            wanted = torch.zeros_like(mask).scatter(1, last[:, None], value=True) & mask
        R = max(int(wanted.sum(dim=1).max()), 1)
        # Wanted places first, in their order; rows with fewer repeat places that nobody wants.
        places = (~wanted).long().argsort(dim=1, stable=True)[:, :R]  # [B, R]
        token = self.vlm.learned.table[self.vlm.learned.names.index(USER)]
        states = states_behind(self.vlm, inputs, mask, token, places).float()  # [B, R, D]
        B, T, D = vectors.shape
        spread = states.new_zeros(B, T, D).scatter(
            1, places.unsqueeze(-1).expand(-1, -1, D), states
        )
        return spread * wanted.unsqueeze(-1)
