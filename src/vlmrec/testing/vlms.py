"""What every family of vision-language models must do; a new one passes by subclassing."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import Tensor

from vlmrec.core.errors import DataError
from vlmrec.testing.vlm_bodies import BodyContract
from vlmrec.testing.vlm_samples import (
    ANSWERS,
    HIGH,
    MIXED,
    PICTURED,
    SMALL,
    WIDE,
    WORDS,
    noise_picture,
    unreadable_pictures,
    with_tokens,
)
from vlmrec.testing.vlm_tuning import TuningContract
from vlmrec.testing.vlm_under_test import BATCH, PLAIN, assert_close
from vlmrec.vlm.families.base import Family, Pixels
from vlmrec.vlm.options import Padding, VlmOptions
from vlmrec.vlm.prompts import Prompt, make_prompt
from vlmrec.vlm.visual_cache import VisualCache

_HALF = 0.02  # of the largest value: float16 rounds a feature by 2 ** -11 of itself
_SIDES: tuple[Padding, ...] = ("right", "left")
_STORED: tuple[tuple[Literal["float32", "float16"], float], ...] = (
    ("float32", 1e-6),
    ("float16", _HALF),
)


@dataclass(frozen=True, eq=False)
class PlainForward:
    """What a model says of one prompt, got without this project's code.

    Attributes:
        ids: ``[T] int64``.
        states: ``[T, D]`` of the last layer.
        visual: ``[T] bool``, places that hold a piece of a picture.
        framed: ``[T] bool``, those and the tokens that frame them.
    """

    ids: Tensor
    states: Tensor
    visual: Tensor
    framed: Tensor


class VlmContract(BodyContract, TuningContract):
    """The promises of `vlmrec.vlm.model.VisionLanguageModel`, for one family at tiny size.

    Weights must spread enough that different prompts get clearly different vectors; with the
    usual initial spread of 0.02 a test would not see a mistake.
    """

    @abstractmethod
    def plain(self, prompt: Prompt) -> PlainForward:
        """Returns what the model says of a prompt, by the shortest other way to compute it."""

    @abstractmethod
    def plain_loss(self, prompt: Prompt, answer: str) -> Tensor:
        """Returns the mean cross-entropy of the answer's tokens and the end token."""

    def test_vectors_equal_the_plain_forward(self) -> None:
        """Every pooling, with none, one or two pictures, padded on either side."""
        plain = {prompt: self.plain(prompt) for prompt in MIXED}
        wanted = {
            "last": {prompt: one.states[-1] for prompt, one in plain.items()},
            "mean": {prompt: one.states.mean(0) for prompt, one in plain.items()},
            "mean-image": {p: plain[p].states[plain[p].visual].mean(0) for p in PICTURED},
            "mean-text": {
                prompt: one.states[~one.framed].mean(0)
                for prompt, one in plain.items()
                if not one.framed.all()
            },
        }
        for side in _SIDES:
            model = self.model(VlmOptions(padding=side))
            for pooling, vectors in wanted.items():
                found = model.encode(list(vectors), pooling=pooling)
                assert found.shape == (len(vectors), model.width)
                assert found.dtype == torch.float32
                assert_close(found, torch.stack(list(vectors.values())), PLAIN, pooling)
        assert torch.pdist(torch.stack(list(wanted["last"].values()))).min() > 100 * BATCH

    def test_special_token_gives_the_state_of_its_last_place(self) -> None:
        """One of the tokenizer's own tokens as a pooling, normalised."""
        prompts = with_tokens(self.own_token)
        own = self.model().family.token_id(self.own_token)
        assert own is not None
        wanted = []
        for prompt in prompts:
            plain = self.plain(prompt)
            places = (plain.ids == own).nonzero()
            wanted.append(plain.states[int(places[-1])])
        model = self.model(VlmOptions(padding="left", normalize=True))
        unit = torch.nn.functional.normalize(torch.stack(wanted), dim=-1)
        assert_close(model.encode(prompts, pooling=self.own_token), unit, PLAIN, "unit length")

    def test_token_loss_equals_the_plain_forward(self) -> None:
        """Answers of all lengths, the empty one too, padded on either side."""
        pairs = zip(MIXED, ANSWERS, strict=True)
        wanted = torch.stack([self.plain_loss(prompt, answer) for prompt, answer in pairs])
        for side in _SIDES:
            found = self.model(VlmOptions(padding=side)).token_loss(MIXED, ANSWERS)
            assert_close(found, wanted, PLAIN, side)
        assert torch.pdist(wanted[:, None]).min() > 10 * PLAIN

    def test_batch_equals_one_by_one(self) -> None:
        """Neither neighbours, padding, buckets nor repeats change a vector or its place."""
        prompts = [*MIXED, MIXED[2], MIXED[1], MIXED[2]]
        alone = self.model()
        wanted = torch.cat([alone.encode([prompt]) for prompt in prompts])
        answers = [*ANSWERS, "c", "b", "a"]
        losses = torch.cat(
            [alone.token_loss([p], [a]) for p, a in zip(prompts, answers, strict=True)]
        )
        for options in (
            VlmOptions(padding="left", bucketed=False, deduplicate=False),
            VlmOptions(tokens_per_batch=60, pictures_per_batch=2),
            VlmOptions(padding="left", tokens_per_batch=1),
        ):
            model = self.model(options)
            assert_close(model.encode(prompts), wanted, BATCH, str(options))
            laid_out = len(prompts if not options.deduplicate else MIXED)
            assert model.report.prompts == laid_out, "each distinct prompt once"
            assert_close(model.token_loss(prompts, answers), losses, BATCH, str(options))

    def test_unreadable_picture_leaves_no_trace(self, tmp_path: Path) -> None:
        """No token and no black picture: the prompt is as if it had none; kinds are counted."""
        model = self.model()
        missing, folder = tmp_path / "missing.png", tmp_path / "folder.png"
        folder.mkdir()
        bad = {**unreadable_pictures(), "missing": missing, "unreadable": folder}
        prompts = [make_prompt("the item ", picture, " is new") for picture in bad.values()]
        found = model.encode(prompts)
        without = model.encode([make_prompt("the item ", " is new")])
        assert_close(found, without.expand_as(found), PLAIN, "unreadable")
        beside = model.encode([make_prompt(next(iter(bad.values())), SMALL, "which film")])
        assert_close(beside, model.encode([PICTURED[1]]), PLAIN, "beside a readable one")
        assert model.picture_problems == dict.fromkeys(bad, 1), "each once"
        assert model.image_features([missing, SMALL])[0] is None
        with pytest.raises(DataError, match="neither text nor a readable picture"):
            model.encode([make_prompt("", missing)])

    def test_pictures_of_odd_sizes_are_seen_or_refused(self) -> None:
        """A thread, a dot and a strip of three rows, which looks like colour channels."""
        model = self.model()
        sizes = ((1, 1), (3, 40), (40, 3), (40, 1), (2, 2), (700, 2))
        pictures = [noise_picture(9, *size) for size in sizes]
        prompts = [make_prompt(picture, "which film") for picture in pictures]
        vectors = model.encode(prompts)
        assert set(model.picture_problems) <= {"refused"}
        refused = model.encode([make_prompt("which film")])
        unseen = (vectors - refused).abs().amax(dim=1) < BATCH
        assert int(unseen.sum()) == sum(model.picture_problems.values())

    def test_cached_features_equal_fresh_ones(self, tmp_path: Path) -> None:
        """Stored once, the tower rests; in float32 nothing changes, in float16 very little."""
        fresh = self.model()
        vectors, losses = fresh.encode(MIXED), fresh.token_loss(MIXED, ANSWERS)
        bad = next(iter(unreadable_pictures().values()))
        for dtype, tolerance in _STORED:
            for _ in ("filling", "filled"):
                model = self.model()
                identity = model.visual_identity()
                model.use_visual_cache(VisualCache(tmp_path, identity, dtype=dtype))
                scale = 1.0 if dtype == "float32" else float(vectors.abs().max())
                assert_close(model.encode(MIXED), vectors, tolerance * scale, dtype)
                assert_close(model.token_loss(MIXED, ANSWERS), losses, tolerance * 10, dtype)
            seen = _count_seen(model.family)
            model.encode([*MIXED, make_prompt(bad, "a red cup")])
            file = tmp_path / "the same picture under a name.png"
            file.write_bytes(WIDE)
            same = model.encode([make_prompt(file), make_prompt(WIDE)])
            assert_close(same[0], same[1], PLAIN, dtype)
            assert not seen, "the tower saw a picture whose features were stored"
            assert sum(model.picture_problems.values()) == 1

    def test_each_picture_is_seen_once(self) -> None:
        """However many prompts of a call hold it."""
        model = self.model()
        seen = _count_seen(model.family)
        model.encode([*PICTURED, make_prompt(SMALL, SMALL, "and again")])
        assert len(seen) == len({SMALL, WIDE, HIGH})

    def test_describes_itself(self) -> None:
        """Equal weights, equal description; nothing is drawn from torch's own generator."""
        before = torch.get_rng_state()
        one, other = self.load(), self.load()
        assert torch.equal(torch.get_rng_state(), before)
        assert one.describe() == other.describe()
        assert one.visual_identity() == other.visual_identity()
        with torch.no_grad():
            next(iter(other.family.vision[0].parameters())).add_(1)
        assert one.describe() != other.describe()
        assert one.visual_identity() != other.visual_identity()

    def test_nothing_gives_nothing(self) -> None:
        """Empty lists are no special case for callers."""
        model = self.model()
        assert model.encode([]).shape == (0, model.width)
        assert model.token_loss([], []).shape == (0,)
        assert model.image_features([]) == []
        with pytest.raises(DataError, match="'mean-image' finds no such place in 2 of 2"):
            model.encode(WORDS, pooling="mean-image")


def _count_seen(family: Family) -> list[Pixels]:
    """Returns a list that will hold every picture that goes through the tower."""
    seen: list[Pixels] = []
    see = family.see

    def counting(pictures: Sequence[Pixels]) -> list[Tensor]:
        seen.extend(pictures)
        return see(pictures)

    family.see = counting
    return seen
