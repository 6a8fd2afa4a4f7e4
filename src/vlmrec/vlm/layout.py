"""Prompts -> rows of tokens: what surrounds them, where pictures go, and what is cut."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from vlmrec.core.errors import ConfigError, DataError
from vlmrec.vlm.families.base import Family
from vlmrec.vlm.prompts import ImagePart, PictureSource, Prompt, TextPart
from vlmrec.vlm.visual_features import VisualFeatures

Kind = Literal["text", "picture", "fixed"]


@dataclass(frozen=True)
class Template:
    """Token ids that come before and after every prompt (BOS, CLS and SEP, a chat's turns)."""

    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()


@dataclass
class LayoutReport:
    """What was left out of prompts, counted since the model was loaded.

    Attributes:
        prompts: Rows that were laid out.
        texts_cut: Prompts whose texts lost tokens.
        tokens_cut: Tokens that were lost.
        pictures_dropped: Pictures left out, always whole, because a prompt was too long.
        answers_cut: Answers that lost tokens.
    """

    prompts: int = 0
    texts_cut: int = 0
    tokens_cut: int = 0
    pictures_dropped: int = 0
    answers_cut: int = 0

    def cuts(self) -> dict[str, int]:
        """Returns what was left out, by name, without what was not."""
        found = {name: value for name, value in asdict(self).items() if name != "prompts"}
        return {name: value for name, value in found.items() if value}


@dataclass(frozen=True, eq=False)
class Row:
    """One prompt, and perhaps its answer, as tokens.

    Attributes:
        ids: Token ids.
        filled: Whether a place takes a row of visual features.
        textual: Whether a place counts as text: no picture and no frame of one.
        pictures: In reading order.
        prefix: How many tokens belong to the prompt; the rest is the answer.
    """

    ids: list[int]
    filled: list[bool]
    textual: list[bool]
    pictures: list[VisualFeatures]
    prefix: int

    def __len__(self) -> int:
        return len(self.ids)


@dataclass
class _Segment:
    kind: Kind
    ids: list[int]
    filled: list[bool] = field(default_factory=list[bool])
    features: VisualFeatures | None = None


class PromptLayout:
    """Turns prompts into rows.

    Too long a prompt loses tokens at the end of its longest texts, then whole pictures from
    the start (the oldest of a history). Special tokens always stay.

    Args:
        family: Tokenizer and picture layout.
        template: What surrounds a prompt.
        max_tokens: Longest row, answer included.
        special_id: Token id of a special token by name, or None where there is none.
    """

    def __init__(
        self,
        family: Family,
        template: Template,
        max_tokens: int,
        special_id: Callable[[str], int],
    ) -> None:
        self._family = family
        self._template = template
        self.max_tokens = max_tokens
        self._special_id = special_id
        self.report = LayoutReport()

    def rows(
        self,
        prompts: Sequence[Prompt],
        seen: Mapping[PictureSource, VisualFeatures],
        answers: Sequence[str] | None = None,
        *,
        room: int = 0,
    ) -> list[Row]:
        """Returns one row per prompt.

        Args:
            prompts: What is asked.
            seen: Features of the readable pictures; others leave no trace in the row.
            answers: One per prompt, closed by the end token; None for prompts alone.
            room: Tokens to be kept free behind each row.

        Raises:
            DataError: A prompt has neither text nor a readable picture.
            ConfigError: A special token is unknown, or nothing of a prompt fits into max_tokens.
        """
        drafts = [_merged(prompt, seen) for prompt in prompts]
        ids_of = self._tokenized(drafts, answers or ())
        rows = []
        for number, draft in enumerate(drafts):
            segments = [self._segment(part, seen, ids_of) for part in draft]
            if not _says_something(segments):
                raise DataError(
                    f"A prompt has neither text nor a readable picture{_named(prompts[number])}.",
                    "Leave it out, or give it one of them.",
                )
            answer = [] if answers is None else self._answer(ids_of[answers[number]])
            rows.append(self._row(segments, answer, room))
        self.report.prompts += len(rows)
        return rows

    def answer_tokens(self, answers: Sequence[str]) -> list[list[int]]:
        """Returns answers as they stand in rows: cut, and closed by the end token."""
        return [self._closed(ids) for ids in plain_ids(self._family.tokenizer, answers)]

    def _tokenized(
        self, drafts: list[list[TextPart | ImagePart | str]], answers: Sequence[str]
    ) -> dict[str, list[int]]:
        texts = [part.text for draft in drafts for part in draft if isinstance(part, TextPart)]
        texts = list(dict.fromkeys([*texts, *answers]))
        return dict(zip(texts, plain_ids(self._family.tokenizer, texts), strict=True))

    def _segment(
        self,
        part: TextPart | ImagePart | str,
        seen: Mapping[PictureSource, VisualFeatures],
        ids_of: dict[str, list[int]],
    ) -> _Segment:
        if isinstance(part, str):
            return _Segment("fixed", [self._special_id(part)])
        if isinstance(part, TextPart):
            return _Segment("text", list(ids_of[part.text]))
        features = seen[part.source]
        tokens = self._family.run_of(features.shape)
        return _Segment("picture", list(tokens.ids), list(tokens.filled), features)

    def _answer(self, ids: list[int]) -> list[int]:
        closed = self._closed(ids)
        self.report.answers_cut += len(closed) <= len(ids)
        return closed

    def _closed(self, ids: list[int]) -> list[int]:
        return [*ids[: self.max_tokens // 2 - 1], end_token(self._family.tokenizer)]

    def _row(self, segments: list[_Segment], answer: list[int], room: int) -> Row:
        template = self._template
        around = len(template.before) + len(template.after) + len(answer) + room
        self._shorten(segments, self.max_tokens - around)
        if not _says_something(segments):
            raise ConfigError(
                f"max_tokens={self.max_tokens} leaves a prompt neither text nor picture: "
                f"{around} tokens surround it, and a picture needs all of its own.",
                "Raise max_tokens, or lower the picture budget.",
            )
        row = Row([], [], [], [], 0)
        before, after = (_Segment("fixed", list(ids)) for ids in (template.before, template.after))
        for segment in [before, *segments, after]:
            row.ids.extend(segment.ids)
            row.filled.extend(segment.filled or [False] * len(segment.ids))
            row.textual.extend([segment.kind != "picture"] * len(segment.ids))
            if segment.features is not None:
                row.pictures.append(segment.features)
        prefix = len(row.ids)
        row.ids.extend(answer)
        row.filled.extend([False] * len(answer))
        row.textual.extend([True] * len(answer))
        return Row(row.ids, row.filled, row.textual, row.pictures, prefix)

    def _shorten(self, segments: list[_Segment], room: int) -> None:
        """Cuts texts, then drops pictures, until the segments fit."""
        total = sum(len(one.ids) for one in segments)
        if total <= room:
            return
        texts = [one for one in segments if one.kind == "text"]
        fixed = total - sum(len(one.ids) for one in texts)
        while fixed > room:
            oldest = next((one for one in segments if one.kind == "picture"), None)
            if oldest is None:
                raise ConfigError(
                    f"A prompt needs {fixed + self.max_tokens - room} tokens for special tokens "
                    f"and what surrounds it alone; max_tokens={self.max_tokens}.",
                    "Raise max_tokens.",
                )
            segments.remove(oldest)
            fixed -= len(oldest.ids)
            self.report.pictures_dropped += 1
        cap = _cap([len(one.ids) for one in texts], room - fixed)
        cut = 0
        for one, limit in zip(texts, cap, strict=True):
            cut += len(one.ids) - limit
            del one.ids[limit:]
        self.report.texts_cut += cut > 0
        self.report.tokens_cut += cut


def plain_ids(tokenizer: object, texts: Sequence[str]) -> list[list[int]]:
    """Returns the tokens of texts, in which names of special tokens are plain words."""
    if not texts:
        return []
    encode: Callable[..., Mapping[str, list[list[int]]]] = tokenizer  # pyright: ignore[reportAssignmentType]
    made = encode(
        list(texts),
        add_special_tokens=False,
        split_special_tokens=True,
        return_attention_mask=False,
        verbose=False,  # too long a text is cut here, and counted
    )
    return made["input_ids"]


def end_token(tokenizer: object) -> int:
    """Returns the token that ends an answer: EOS, or SEP where a tokenizer has no EOS."""
    found = getattr(tokenizer, "eos_token_id", None)
    return int(getattr(tokenizer, "sep_token_id", 0) if found is None else found)


def _merged(
    prompt: Prompt, seen: Mapping[PictureSource, VisualFeatures]
) -> list[TextPart | ImagePart | str]:
    """Returns the prompt without unreadable pictures; neighbouring words are one text."""
    parts: list[TextPart | ImagePart | str] = []
    for part in prompt:
        if isinstance(part, TextPart):
            last = parts[-1] if parts else None
            if isinstance(last, TextPart):
                parts[-1] = TextPart(last.text + part.text)
            elif part.text:
                parts.append(part)
        elif isinstance(part, ImagePart):
            if part.source in seen:
                parts.append(part)
        else:
            parts.append(part.name)
    return parts


def _says_something(segments: Sequence[_Segment]) -> bool:
    return any(one.ids for one in segments if one.kind != "fixed")


def _named(prompt: Prompt) -> str:
    """Returns the files of the prompt's pictures, as the end of a sentence."""
    sources = [part.source for part in prompt if isinstance(part, ImagePart)]
    paths = [f"'{source}'" for source in sources if isinstance(source, Path)]
    return f": {', '.join(paths)}" if paths else ""


def _cap(lengths: list[int], room: int) -> list[int]:
    """Returns lengths that add up to at most `room`, the longest shortened first."""
    capped = [0] * len(lengths)
    left = room
    for place, number in enumerate(sorted(range(len(lengths)), key=lengths.__getitem__)):
        capped[number] = min(lengths[number], left // (len(lengths) - place))
        left -= capped[number]
    return capped
