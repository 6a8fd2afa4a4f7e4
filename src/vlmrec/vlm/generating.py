"""Answers in words: after each token the likeliest next one, until the model ends the answer.

Nothing is kept between tokens but the visual features, so an answer of n tokens costs n forward
passes over its prompt and what is written so far. That is enough to look at what a model has
learned; it is no way to serve texts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from vlmrec.core.errors import ConfigError
from vlmrec.vlm.batching import buckets, distinct
from vlmrec.vlm.collating import collate
from vlmrec.vlm.layout import Row, end_token
from vlmrec.vlm.model import VisionLanguageModel
from vlmrec.vlm.prompts import ImagePart, Prompt

_PROMPTS_AT_A_TIME = 256  # whose pictures are held in memory together


def generate(
    model: VisionLanguageModel, prompts: Sequence[Prompt], max_new_tokens: int = 64
) -> list[str]:
    """Returns the model's greedy answer to each prompt, without special tokens.

    What is seen from where is as in `VisionLanguageModel.token_loss`: in `compact` a prompt sees
    itself both ways and an answer only looks back. Prompts keep `max_new_tokens` of `max_tokens`
    free for the answer. Dropout is off, and equal prompts are answered once.

    Args:
        model: Any vision-language model with a language head.
        prompts: n prompts.
        max_new_tokens: Longest answer.

    Returns:
        n texts; one that the model ended at once is "".

    Raises:
        ConfigError: The checkpoint has no language head, or no room is left for prompts.
        DataError: A prompt has neither text nor a readable picture.
    """
    tokenizer = model.family.tokenizer
    answers = generate_tokens(model, prompts, max_new_tokens)
    return [tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in answers]


@torch.no_grad()
def generate_tokens(
    model: VisionLanguageModel, prompts: Sequence[Prompt], max_new_tokens: int
) -> list[list[int]]:
    """Returns the tokens of each answer; the end token is its last, unless it was cut before.

    See `generate`.
    """
    if not model.family.can_generate:
        raise ConfigError(
            f"This '{model.family.name}' checkpoint has no language head, so it writes no answers.",
            "Use it to encode only, or take the generative checkpoint it was made from.",
        )
    if not 1 <= max_new_tokens < model.layout.max_tokens:
        raise ConfigError(
            f"max_new_tokens={max_new_tokens}, and prompt and answer together have at most "
            f"{model.layout.max_tokens} tokens.",
            f"Ask for 1 to {model.layout.max_tokens - 1} tokens, or raise max_tokens.",
        )
    unique, where = distinct(prompts)
    was_training = model.training
    model.eval()
    try:
        answers = [
            answer
            for start in range(0, len(unique), _PROMPTS_AT_A_TIME)
            for answer in _answers(
                model, unique[start : start + _PROMPTS_AT_A_TIME], max_new_tokens
            )
        ]
    finally:
        model.train(was_training)
    return [answers[place] for place in where]


def _answers(model: VisionLanguageModel, prompts: Sequence[Prompt], most: int) -> list[list[int]]:
    """Returns the tokens of each answer, in the order of the prompts."""
    sources = [part.source for prompt in prompts for part in prompt if isinstance(part, ImagePart)]
    found = zip(sources, model.image_features(sources), strict=True)
    seen = {source: features for source, features in found if features is not None}
    rows = model.layout.rows(prompts, seen, room=most)
    answers: list[list[int]] = [[] for _ in rows]
    lengths = [len(row) + most for row in rows]
    for bucket in buckets(lengths, model.options.tokens_per_batch):
        for place, token in _written(model, {place: rows[place] for place in bucket}, most):
            answers[place].append(token)
    return answers


def _written(
    model: VisionLanguageModel, rows: dict[int, Row], most: int
) -> Iterator[tuple[int, int]]:
    """Yields place and next token of every row that has not ended, again and again."""
    end = end_token(model.family.tokenizer)
    for _ in range(most):
        tokens = _next_tokens(model, list(rows.values()))
        following = list(zip(rows, tokens, strict=True))
        yield from following
        rows = {place: _longer(rows[place], token) for place, token in following if token != end}
        if not rows:
            return


def _next_tokens(model: VisionLanguageModel, rows: Sequence[Row]) -> list[int]:
    """Returns the likeliest token behind each row."""
    family = model.family
    batch = collate(rows, family.pad, model.options.padding, model.device)
    states = model.states(batch)  # [B, T, D]
    steps = torch.arange(batch.mask.shape[1], device=batch.mask.device)
    last = (batch.mask * steps).amax(dim=1)  # [B], whatever the padding side
    logits = family.logits(states[torch.arange(len(rows), device=last.device), last])  # [B, V]
    return logits.float().argmax(dim=-1).tolist()


def _longer(row: Row, token: int) -> Row:
    """Returns the row with one more token of its answer."""
    return replace(
        row,
        ids=[*row.ids, token],
        filled=[*row.filled, False],
        textual=[*row.textual, True],
    )
