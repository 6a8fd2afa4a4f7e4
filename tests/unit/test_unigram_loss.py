"""The bag-of-words yardstick equals a plain count, token by token."""

import math
from collections import Counter
from itertools import chain

import pytest
import torch

from vlmrec.testing.vlm_samples import ANSWERS, WORDS
from vlmrec.vlm.loading import load_vlm
from vlmrec.vlm.options import VlmOptions
from vlmrec.vlm.unigram_loss import unigram_loss

LEARNED = ["a red cup", "a blue cup and a bag", "", "x"]


@pytest.fixture(scope="module")
def model():
    return load_vlm("tiny", VlmOptions(max_tokens=16))


def plain(model, learned, answers, k):
    """By counting, with answers cut to half of the prompt's 16 tokens, the end token included."""
    tokenizer = model.family.tokenizer

    def tokens(text):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        return [*ids[:7], tokenizer.sep_token_id]

    counts = Counter(token for text in learned for token in tokens(text))
    total, size = sum(counts.values()), model.family.word_embeddings.num_embeddings
    losses = []
    for text in answers:
        costs = [-math.log((counts[token] + k) / (total + k * size)) for token in tokens(text)]
        losses.append(sum(costs) / len(costs))
    return losses


@pytest.mark.parametrize("k", [1.0, 0.03])
def test_it_is_the_plain_count(model, k):
    found = unigram_loss(model, LEARNED, ANSWERS, smoothing=[k])
    assert found.tolist() == pytest.approx(plain(model, LEARNED, ANSWERS, k), abs=1e-5)
    assert len(set(found.tolist())) > 3


def test_the_smoothing_that_favours_it_is_taken(model):
    for answers, best in ((LEARNED, 0.01), (["#*~", "@@@@"], 1.0)):
        tried = {k: sum(plain(model, LEARNED, answers, k)) for k in (1.0, 0.01)}
        assert min(tried, key=tried.__getitem__) == best
        found = unigram_loss(model, LEARNED, answers, smoothing=[1.0, 0.01])
        assert float(found.sum()) == pytest.approx(tried[best], abs=1e-4)


@torch.no_grad()
def test_a_model_that_says_frequencies_whatever_it_is_asked_has_this_token_loss():
    model = load_vlm("tiny", VlmOptions(max_tokens=16))
    network = model.family.network
    model.family.word_embeddings.weight.zero_()
    tokens = torch.tensor([*chain(*model.layout.answer_tokens(LEARNED))])
    counts = torch.bincount(tokens, minlength=len(network.bias))
    network.bias.copy_(torch.log((counts + 0.1) / (counts + 0.1).sum()))
    found = unigram_loss(model, LEARNED, ANSWERS, smoothing=[0.1])
    said = model.token_loss([WORDS[0]] * len(ANSWERS), ANSWERS)
    assert model.report.answers_cut > 0
    torch.testing.assert_close(found, said, atol=1e-5, rtol=0)


def test_nothing_costs_nothing_and_smoothing_is_above_zero(model):
    assert unigram_loss(model, LEARNED, []).shape == (0,)
    with pytest.raises(ValueError, match="must hold numbers above 0"):
        unigram_loss(model, LEARNED, ANSWERS, smoothing=[0.0])
