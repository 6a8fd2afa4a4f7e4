"""Many continuations of one prompt, with given vectors in the place of some tokens.

A ranker that asks a language model about each candidate (CoLLM, arXiv 2310.19488) repeats the
same history in front of every one of them. The history never looks at what follows, so one pass
can hold it once, with all continuations behind it side by side: for 100 candidates of 15 tokens
behind 100 tokens of history that is 1,600 places instead of 11,500.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vlmrec.vlm.batching import buckets, in_order
from vlmrec.vlm.collating import collate
from vlmrec.vlm.layout import Row, plain_ids
from vlmrec.vlm.model import VisionLanguageModel
from vlmrec.vlm.prompts import ImagePart, Prompt

_SIDE_BY_SIDE = 32
"""Continuations in one pass: attention over all of them grows with the square of their number."""


@dataclass(frozen=True, eq=False)
class Continued:
    """Prompts, each with continuations.

    Attributes:
        prompts: G prompts of words and special tokens.
        behind: Of each prompt, what follows it; n in all.
        slots: Special token -> ``[n, D]``, what stands in its place; one token of a name a row.
            A token within a prompt takes the vector of the prompt's first continuation.
    """

    prompts: Sequence[Prompt]
    behind: Sequence[Sequence[Prompt]]
    slots: Mapping[str, Tensor]


def last_states(model: VisionLanguageModel, asked: Continued) -> Tensor:
    """Returns the state of the last token of each continuation.

    In `compact` a prompt sees itself both ways and a continuation only looks back.

    Args:
        model: Any vision-language model.
        asked: Prompts and continuations.

    Returns:
        ``[n, D] float32``, prompt by prompt.

    Raises:
        DataError: A prompt and its continuation have no words.
    """
    if any(isinstance(part, ImagePart) for prompt in asked.prompts for part in prompt):
        raise ValueError("Continuations read words and special tokens, not pictures.")
    rows, groups = _rows(model, asked)
    if not rows:
        return torch.zeros(0, model.width, device=model.device)
    tokens = {model.special_id(name): given for name, given in asked.slots.items()}
    read = _side_by_side if model.family.takes_any_mask else _one_by_one
    parts, order = [], []
    for numbers, states in read(model, rows, groups, tokens):
        parts.append(states.float())
        order += numbers
    return in_order(parts, order)


def two_words(model: VisionLanguageModel, yes: str, no: str) -> tuple[int, int]:
    """Returns the tokens that tell two answers apart: the first at which they differ.

    Raises:
        ValueError: They are one answer.
    """
    first, second = plain_ids(model.family.tokenizer, [f" {yes}", f" {no}"])
    for one, other in zip(first, second, strict=False):
        if one != other:
            return one, other
    raise ValueError(f"The answers '{yes}' and '{no}' begin alike.")


def _rows(model: VisionLanguageModel, asked: Continued) -> tuple[list[Row], list[list[int]]]:
    """Returns one row a continuation, whose prefix is its prompt, and the rows of each prompt."""
    alone = model.layout.rows(asked.prompts, {})
    whole = [
        (*prompt, *more)
        for prompt, behind in zip(asked.prompts, asked.behind, strict=True)
        for more in behind
    ]
    rows: list[Row] = []
    groups: list[list[int]] = []
    laid = iter(model.layout.rows(whole, {}))
    for head, behind in zip(alone, asked.behind, strict=True):
        groups.append(list(range(len(rows), len(rows) + len(behind))))
        for row in (next(laid) for _ in behind):
            # Tokens that join both sides, and what a template puts behind, are no prefix.
            rows.append(replace(row, prefix=_alike(head.ids, row.ids)))
    return rows, groups


def _alike(one: Sequence[int], other: Sequence[int]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


def _one_by_one(
    model: VisionLanguageModel,
    rows: list[Row],
    groups: list[list[int]],
    tokens: Mapping[int, Tensor],
) -> Iterator[tuple[list[int], Tensor]]:
    first = _first_of_group(groups)
    for numbers in buckets([len(row) for row in rows], model.options.tokens_per_batch):
        chosen = [rows[number] for number in numbers]
        batch = collate(chosen, model.family.pad, model.options.padding, model.device)
        places = torch.tensor(numbers, device=model.device)[:, None].expand_as(batch.ids)
        heads = torch.tensor([first[number] for number in numbers], device=model.device)
        places = torch.where(batch.prefix, heads[:, None], places)
        states = model.states(batch, _embedded(model, batch.ids, places, tokens))
        steps = torch.arange(batch.mask.shape[1], device=model.device)
        last = (batch.mask * steps).amax(dim=1)  # [B], whatever the padding side
        yield numbers, states[torch.arange(len(numbers), device=model.device), last]


def _side_by_side(
    model: VisionLanguageModel,
    rows: list[Row],
    groups: list[list[int]],
    tokens: Mapping[int, Tensor],
) -> Iterator[tuple[list[int], Tensor]]:
    first = _first_of_group(groups)
    packs = [_Pack.of(rows, part) for group in groups for part in _parts(rows, group)]
    for chosen in buckets([pack.length for pack in packs], model.options.tokens_per_batch):
        numbers = [number for place in chosen for number in packs[place].numbers]
        yield numbers, _packed_states(model, [packs[place] for place in chosen], first, tokens)


def _parts(rows: list[Row], group: list[int]) -> Iterator[list[int]]:
    """Yields those of a prompt's rows that share a pass: their prompts were cut alike."""
    alike: dict[tuple[int, ...], list[int]] = {}
    for number in group:
        row = rows[number]
        alike.setdefault(tuple(row.ids[: row.prefix]), []).append(number)
    for numbers in alike.values():
        for start in range(0, len(numbers), _SIDE_BY_SIDE):
            yield numbers[start : start + _SIDE_BY_SIDE]


@dataclass(frozen=True, eq=False)
class _Pack:
    """One prompt and some of its continuations as one sequence.

    Attributes:
        numbers: Of the rows.
        ids: Token of each place.
        owner: Row of each place, of the prompt's the first.
        segment: 0 for the prompt, then 1, 2, ... by continuation.
        position: As if each continuation followed the prompt at once.
        last: Place of each continuation's last token.
    """

    numbers: list[int]
    ids: list[int]
    owner: list[int]
    segment: list[int]
    position: list[int]
    last: list[int]

    @property
    def length(self) -> int:
        return len(self.ids)

    @classmethod
    def of(cls, rows: list[Row], numbers: list[int]) -> "_Pack":
        shared = rows[numbers[0]].prefix
        pack = cls(
            numbers,
            rows[numbers[0]].ids[:shared],
            [numbers[0]] * shared,
            [0] * shared,
            list(range(shared)),
            [],
        )
        for segment, number in enumerate(numbers, 1):
            ids = rows[number].ids[shared:]
            pack.ids.extend(ids)
            pack.owner.extend([number] * len(ids))
            pack.segment.extend([segment] * len(ids))
            pack.position.extend(range(shared, shared + len(ids)))
            pack.last.append((len(pack.ids) if ids else shared) - 1)
        return pack


def _packed_states(
    model: VisionLanguageModel,
    packs: list[_Pack],
    first: list[int],
    tokens: Mapping[int, Tensor],
) -> Tensor:
    width = max(pack.length for pack in packs)

    def padded(name: str, fill: int) -> Tensor:
        filled = [getattr(one, name) + [fill] * (width - one.length) for one in packs]
        return torch.tensor(filled, device=model.device)

    ids, segment, position = (
        padded("ids", model.family.pad),
        padded("segment", -1),
        padded("position", 0),
    )
    owner = padded("owner", 0)
    owner = torch.where(segment == 0, torch.tensor(first, device=model.device)[owner], owner)
    prompt = (segment == 0).unsqueeze(1)  # [B, 1, L]
    own = segment.unsqueeze(1) == segment.unsqueeze(2)  # [B, L, L]
    back = position.unsqueeze(1) <= position.unsqueeze(2)
    allowed = prompt | (own & back)
    # Padding sees itself, because attention over nothing is NaN; it is nobody's prompt.
    with model.products():
        embedded = _embedded(model, ids, owner, tokens)
        states = model.family.body_under(embedded, position, allowed)
    row = torch.tensor([b for b, pack in enumerate(packs) for _ in pack.last], device=model.device)
    last = torch.tensor([place for pack in packs for place in pack.last], device=model.device)
    return states[row, last]


def _embedded(
    model: VisionLanguageModel, ids: Tensor, owner: Tensor, tokens: Mapping[int, Tensor]
) -> Tensor:
    """Returns ``[B, T, D]``: words, learned tokens, and given vectors in their slots.

    Args:
        model: Whose words.
        ids: ``[B, T] int64``.
        owner: ``[B, T] int64`` which row's vector a slot takes.
        tokens: Token id -> ``[n, D]``.
    """
    embeddings = model.learned.embed(ids, model.family.word_embeddings)
    for token, given in tokens.items():
        place = (ids == token).nonzero(as_tuple=True)
        vectors = given[owner[place]].to(embeddings.device, embeddings.dtype)
        embeddings = embeddings.index_put(place, vectors)
    return embeddings


def _first_of_group(groups: list[list[int]]) -> list[int]:
    """Returns, for each row, the first row of its prompt."""
    return [group[0] for group in groups for _ in group]
