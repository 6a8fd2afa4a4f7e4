"""`compact` reads as MiniLM does, looks both ways in prompts and only back in answers."""

import pytest
import torch
from tests.reference import compact_forward

from vlmrec.testing.vlm_samples import ANSWERS, MIXED, PICTURED, SMALL
from vlmrec.vlm.encoders import load_text_encoder
from vlmrec.vlm.loading import load_vlm
from vlmrec.vlm.options import VlmOptions
from vlmrec.vlm.prompts import SpecialPart, make_prompt

PLOT = "A cowboy doll is threatened when a new spaceman figure supplants him as top toy. "
TEXTS = ["a red cup", PLOT, "Schön & 東京, 50 % off!", "?", PLOT * 8, PLOT * 40]


@pytest.fixture(scope="module")
def compact():
    return load_vlm("compact", VlmOptions(normalize=True))


def test_text_vectors_are_the_sentence_embeddings_of_minilm(compact):
    wanted = load_text_encoder("compact").encode_texts(TEXTS)
    found = compact.encode([make_prompt(text) for text in TEXTS])
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


@torch.no_grad()
def test_vectors_and_loss_with_pictures_equal_the_forward_written_out(compact):
    family = compact.family
    prompts = PICTURED[:2]
    for prompt, vector in zip(prompts, compact.encode(prompts), strict=True):
        ids, _, embeddings = compact_forward.embedded(family, prompt)
        allowed = torch.ones(len(ids), len(ids), dtype=torch.bool)
        states = compact_forward.states(family.network, embeddings, allowed)
        wanted = torch.nn.functional.normalize(states.mean(0), dim=0)
        torch.testing.assert_close(vector, wanted, atol=1e-5, rtol=0)
        (loss,) = compact.token_loss([prompt], ["a red bag"])
        answer = family.tokenizer("a red bag")["input_ids"][1:]
        wanted = compact_forward.token_loss(family.network, embeddings, torch.tensor(answer))
        torch.testing.assert_close(loss, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("places", [1, 4, 9, 16, 49])
@torch.no_grad()
def test_every_number_of_visual_tokens(places):
    model = load_vlm("tiny", VlmOptions(visual_tokens=places))
    (features,) = model.image_features([SMALL])
    assert features.values.shape == (places, 32)
    vectors, losses = model.encode(MIXED), model.token_loss(MIXED, ANSWERS)
    for number, prompt in enumerate(MIXED):
        network = model.family.network
        ids, visual, embeddings = compact_forward.embedded(model.family, prompt)
        assert int(visual.sum()) % places == 0
        allowed = torch.ones(len(ids), len(ids), dtype=torch.bool)
        states = compact_forward.states(network, embeddings, allowed)
        torch.testing.assert_close(vectors[number], states.mean(0), atol=1e-5, rtol=0)
        answer = model.family.tokenizer(ANSWERS[number])["input_ids"][1:]
        wanted = compact_forward.token_loss(network, embeddings, torch.tensor(answer))
        torch.testing.assert_close(losses[number], wanted, atol=1e-5, rtol=0)


def test_a_prompt_sees_what_follows():
    model = load_vlm("tiny")
    prompts = [make_prompt(SpecialPart("[MASK]"), word) for word in ("a red cup", "a red cap")]
    first, second = model.encode(prompts, pooling="[MASK]")
    assert (first - second).abs().max() > 0.01


def test_the_seed_decides_the_projector_and_the_toy():
    vectors = [load_vlm("tiny", seed=seed).encode(MIXED[:2]) for seed in (0, 0, 1)]
    assert torch.equal(vectors[0], vectors[1])
    assert (vectors[0] - vectors[2]).abs().min(dim=1).values.max() > 1e-4
