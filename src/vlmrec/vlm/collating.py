"""Rows of tokens -> one batch of tensors."""

from collections.abc import Sequence

import torch

from vlmrec.vlm.families.base import PromptBatch
from vlmrec.vlm.layout import Row
from vlmrec.vlm.options import Padding


def collate(
    rows: Sequence[Row], pad: int, side: Padding, device: torch.device, width: int = 0
) -> PromptBatch:
    """Returns rows as one batch, filled up on one side.

    Args:
        rows: At least one.
        pad: Id of the padding token.
        side: Which side is filled up.
        device: Where the tensors go.
        width: At least so many places, where rows of other batches are longer.
    """
    longest = max(width, *(len(row) for row in rows))
    ids = torch.full((len(rows), longest), pad)
    mask, filled, prefix = (torch.zeros(len(rows), longest, dtype=torch.bool) for _ in range(3))
    textual = torch.zeros(len(rows), longest, dtype=torch.bool)
    for number, row in enumerate(rows):
        first = longest - len(row) if side == "left" else 0
        place = slice(first, first + len(row))
        ids[number, place] = torch.tensor(row.ids)
        mask[number, place] = True
        filled[number, place] = torch.tensor(row.filled)
        textual[number, place] = torch.tensor(row.textual)
        prefix[number, first : first + row.prefix] = True
    return PromptBatch(
        ids.to(device),
        mask.to(device),
        filled.to(device),
        prefix.to(device),
        textual.to(device),
        [one for row in rows for one in row.pictures],
        [len(row.pictures) for row in rows],
    )
