"""The bag-of-words yardstick of token losses: answers told from word frequencies alone."""

from collections.abc import Sequence
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vlmrec.vlm.model import VisionLanguageModel

SMOOTHING = (1.0, 0.1, 0.01)
"""What is added to every token's count, one after the other; the best of them counts."""


def unigram_loss(
    model: VisionLanguageModel,
    learned: Sequence[str],
    answers: Sequence[str],
    *,
    smoothing: Sequence[float] = SMOOTHING,
) -> Tensor:
    r"""Returns what `VisionLanguageModel.token_loss` would be if each token came by frequency.

    With count c(w) of token w among N tokens of the learned answers and V tokens in the
    vocabulary, p(w) = (c(w) + k) / (N + k V), and an answer's loss is the mean of -log p over its
    tokens. Tokens, cut and end token are those of `token_loss`; the end token has a frequency
    as any other has. Of several k the one with the lowest mean loss over `answers` is taken,
    which is in favour of the yardstick.

    Args:
        model: Says how answers become tokens.
        learned: Answers that frequencies are counted in.
        answers: n other answers.
        smoothing: Values of k, above 0.

    Returns:
        ``[n] float32`` in nats per token, on the CPU.
    """
    if not smoothing or min(smoothing) <= 0:
        raise ValueError(f"smoothing={smoothing} must hold numbers above 0.")
    if not answers:
        return torch.zeros(0)
    rows = model.layout.answer_tokens(answers)
    lengths = np.array([len(row) for row in rows])
    tokens = _flat(rows)
    size = model.family.word_embeddings.num_embeddings
    known = _flat(model.layout.answer_tokens(learned))
    counts = np.bincount(known, minlength=size).astype(np.float64)  # [V]
    found: list[NDArray[np.float64]] = []
    for k in smoothing:
        costs = -np.log((counts[tokens] + k) / (counts.sum() + k * len(counts)))
        found.append(np.add.reduceat(costs, np.cumsum(lengths) - lengths) / lengths)
    best = min(found, key=lambda losses: float(losses.mean()))
    return torch.from_numpy(best).float()


def _flat(rows: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    return np.fromiter(chain.from_iterable(rows), dtype=np.int64)
