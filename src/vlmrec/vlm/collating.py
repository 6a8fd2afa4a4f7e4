"""Rows of tokens -> one batch of tensors."""

from collections.abc import Sequence

import numpy as np
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
    # numpy takes in lists far faster than torch does.
    ids = np.full((len(rows), longest), pad, dtype=np.int64)
    mask, filled, prefix, textual = (np.zeros((len(rows), longest), dtype=bool) for _ in range(4))
    for number, row in enumerate(rows):
        first = longest - len(row) if side == "left" else 0
        place = slice(first, first + len(row))
        ids[number, place] = row.ids
        mask[number, place] = True
        filled[number, place] = row.filled
        textual[number, place] = row.textual
        prefix[number, first : first + row.prefix] = True
    return PromptBatch(
        torch.from_numpy(ids).to(device),
        torch.from_numpy(mask).to(device),
        torch.from_numpy(filled).to(device),
        torch.from_numpy(prefix).to(device),
        torch.from_numpy(textual).to(device),
        [one for row in rows for one in row.pictures],
        [len(row.pictures) for row in rows],
    )
