"""What the body of every vision-language model must do with sequences of vectors."""

import pytest
import torch
from torch import Tensor

from vlmrec.core.errors import ConfigError
from vlmrec.testing.vlm_samples import WORDS
from vlmrec.testing.vlm_under_test import BATCH, PLAIN, VlmUnderTest, assert_close, laid_out
from vlmrec.vlm.model import VisionLanguageModel

_LENGTHS = (7, 3, 5, 1)
_CLEARLY = 1e-2  # smallest difference that is no rounding


class BodyContract(VlmUnderTest):
    """The promises of `vlmrec.vlm.model.VisionLanguageModel.body`."""

    @torch.no_grad()
    def test_body_never_looks_ahead(self) -> None:
        """Another vector at place t changes the states from t on, none before."""
        model = self.model()
        vectors, mask = _sequences(model)[:1], torch.ones(1, max(_LENGTHS), dtype=torch.bool)
        states = model.body(vectors, mask)
        assert states.shape == vectors.shape
        for place in range(vectors.shape[1]):
            changed = vectors.clone()
            # Not a constant added: a norm in front of the first layer would remove it.
            changed[0, place] = _noise(model, 99, model.width)
            difference = (model.body(changed, mask) - states)[0].abs().amax(dim=1)
            assert not difference[:place].gt(PLAIN).any(), f"a state before {place} changed"
            assert difference[place:].gt(_CLEARLY).all(), f"a state from {place} on did not"

    @torch.no_grad()
    def test_body_sees_neither_padding_nor_neighbours(self) -> None:
        """A sequence alone has the states that it has in a batch, padded on either side."""
        model = self.model()
        vectors = _sequences(model)
        for causal in (True, False) if self.looks_ahead else (True,):
            for side in ("right", "left"):
                batch = 5 * _noise(model, 7, *vectors.shape)  # what padding holds is no zero
                mask = torch.zeros(vectors.shape[:2], dtype=torch.bool)
                for row, length in enumerate(_LENGTHS):
                    place = slice(0, length) if side == "right" else slice(-length, None)
                    batch[row, place] = vectors[row, :length]
                    mask[row, place] = True
                states = model.body(batch, mask, causal=causal)
                for row, length in enumerate(_LENGTHS):
                    whole = torch.ones(1, length, dtype=torch.bool)
                    alone = model.body(vectors[row : row + 1, :length], whole, causal=causal)
                    assert_close(states[row][mask[row]], alone[0], BATCH, f"{side} {causal}")
                assert torch.isfinite(states).all(), "even padding must not hold NaN"

    @torch.no_grad()
    def test_body_reads_words_as_prompts_are_read(self) -> None:
        """The embeddings of a prompt's tokens give the states of the prompt."""
        model = self.model()
        for prompt in WORDS:
            ids = torch.tensor([laid_out(model, prompt).ids])
            words = model.family.word_embeddings(ids)
            states = model.body(words, torch.ones_like(ids).bool(), causal=not self.looks_ahead)
            for pooling, wanted in (("last", states[:, -1]), ("mean", states.mean(dim=1))):
                assert_close(model.encode([prompt], pooling=pooling), wanted, PLAIN, pooling)

    def test_body_refuses_what_it_cannot_read(self) -> None:
        """Too long a sequence; looking ahead where the family only looks back."""
        model = self.model()
        longest = model.family.max_positions
        vectors, mask = torch.zeros(1, longest + 1, model.width), torch.ones(1, longest + 1).bool()
        with pytest.raises(ConfigError, match=f"{longest + 1} vectors.*at most {longest}.*Shorten"):
            model.body(vectors, mask)
        if not self.looks_ahead:
            with pytest.raises(ConfigError, match=r"only looks back\. Use causal=True"):
                model.body(vectors[:, :3], mask[:, :3], causal=False)


def _noise(model: VisionLanguageModel, seed: int, *shape: int) -> Tensor:
    """Returns random values that spread as word embeddings do."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator) * model.family.word_embeddings.weight.std()


def _sequences(model: VisionLanguageModel) -> Tensor:
    """Returns ``[B, T, D]``, of which row i is meant up to ``_LENGTHS[i]``."""
    return _noise(model, 1, len(_LENGTHS), max(_LENGTHS), model.width)
