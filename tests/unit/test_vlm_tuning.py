"""What the shipped suite does not ask of every family: options of tuning, seeds, chats, dtypes."""

import pytest
import torch
from tests.tiny_vlms import FAMILIES, write_tiny_vlm
from torch import nn

from vlmrec.core.dropout import Dropout
from vlmrec.testing.vlm_samples import ANSWERS, MIXED, SMALL, WORDS, noise_picture
from vlmrec.testing.vlm_under_test import laid_out
from vlmrec.vlm.loading import load_vlm
from vlmrec.vlm.options import TuningOptions, VlmOptions
from vlmrec.vlm.prompts import SpecialPart, make_prompt
from vlmrec.vlm.tuning import merged_state


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    root = tmp_path_factory.mktemp("tuned")
    return {name: str(write_tiny_vlm(name, root / name)) for name in FAMILIES}


def lora(**settings):
    return TuningOptions(kind="lora", **settings)


def lora_a(model):
    return torch.cat([w.flatten() for n, w in model.named_parameters() if "lora_A" in n])


def test_the_seed_decides_the_start_values():
    first, same, other = (load_vlm("tiny", tuning=lora(), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(lora_a(first), lora_a(same))
    assert not torch.equal(lora_a(first), lora_a(other))
    for model in (first, same, other):
        model.add_special_tokens(["[A]", "[B]"], seed=3)
    assert torch.equal(first.learned.table, same.learned.table)
    # A token's start does not depend on which were added before.
    late = load_vlm("tiny", seed=1)
    late.add_special_tokens(["[B]"], seed=3)
    assert torch.equal(late.learned.table[0], first.learned.table[1])
    assert not torch.equal(first.learned.table[0], first.learned.table[1])


@pytest.mark.parametrize("alpha", [8.0, 2.5])
def test_additions_are_scaled_by_alpha_over_rank(alpha):
    model = load_vlm("tiny", tuning=lora(rank=4, alpha=alpha, targets=("query",)))
    before = load_vlm("tiny").state_dict()
    state = dict(model.named_parameters())
    for name in [one for one in state if "lora_B" in one]:
        nn.init.normal_(state[name])
        product = state[name] @ state[name.replace("lora_B", "lora_A")]
        plain = name.replace("lora_B.default.", "")
        expected = before[plain] + alpha / 4 * product
        torch.testing.assert_close(merged_state(model)[plain], expected)


def test_dropout_of_lora_is_the_resumable_one_and_rests_in_evaluation():
    model = load_vlm("tiny", tuning=lora(dropout=0.5))
    droppers = [m for m in model.modules() if isinstance(m, nn.Dropout | Dropout) and m.p > 0]
    assert droppers
    assert {type(one) for one in droppers} == {Dropout}
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            nn.init.ones_(weight)
    wanted = model.encode(WORDS)
    assert torch.equal(model.encode(WORDS), wanted)
    assert not torch.equal(model.train().encode(WORDS), wanted)


def test_a_frozen_tower_stays_in_evaluation_mode():
    for vision in (False, True):
        model = load_vlm("tiny", tuning=TuningOptions(kind="full", vision=vision)).train()
        assert model.family.network.tower.training == vision
        assert model.family.language.training


def test_the_projector_learns_and_the_tower_does_not():
    model = load_vlm("tiny", tuning=lora())
    model.encode([make_prompt(SMALL)]).square().sum().backward()
    assert all(weight.grad.any() for weight in model.family.network.projector.parameters())
    assert all(weight.grad is None for weight in model.family.network.tower.parameters())


def test_training_lowers_the_loss(checkpoints):
    model = load_vlm(checkpoints["qwen2_vl"], tuning=lora()).train()
    optimizer = torch.optim.Adam([w for w in model.parameters() if w.requires_grad], lr=1e-2)
    losses = []
    for _ in range(4):
        optimizer.zero_grad()
        loss = model.token_loss(MIXED, ANSWERS).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("family", ["qwen3_vl", "mllama"])
def test_eager_attention_gives_the_same_vectors(checkpoints, family):
    wanted = load_vlm(checkpoints[family]).encode(MIXED)
    eager = load_vlm(checkpoints[family], VlmOptions(attention="eager")).encode(MIXED)
    torch.testing.assert_close(eager, wanted, atol=1e-4, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16_gives_nearly_the_same_vectors(checkpoints, family):
    wanted = load_vlm(checkpoints[family]).encode(MIXED)
    half = load_vlm(checkpoints[family], VlmOptions(dtype="bfloat16"))
    assert half.family.word_embeddings.weight.dtype == torch.bfloat16
    found = half.encode(MIXED)
    assert found.dtype == torch.float32
    assert torch.cosine_similarity(found, wanted).min() > 0.97
    half.add_special_tokens(["[Cur_Item]"])
    loss = half.token_loss([make_prompt(SMALL, SpecialPart("[Cur_Item]"))], ["a"])
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss).all()


@pytest.mark.parametrize("family", ["qwen2_vl", "smolvlm"])
def test_tied_word_embeddings_are_tuned_as_one(tmp_path, family):
    folder = str(write_tiny_vlm(family, tmp_path, tied=True))
    model = load_vlm(folder, tuning=TuningOptions(kind="full"))
    network = model.family.network
    assert network.lm_head.weight is network.get_input_embeddings().weight
    assert torch.isfinite(model.token_loss(WORDS, ["a", "b"])).all()
    assert not any("lora" in name for name in merged_state(model))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_chat_surrounds_the_prompt(checkpoints, family):
    options = VlmOptions(chat=True, instruction="Represent the item.")
    model = load_vlm(checkpoints[family], options)
    tokenizer = model.family.tokenizer
    messages = [
        {"role": "system", "content": [{"type": "text", "text": "Represent the item."}]},
        {"role": "user", "content": [{"type": "text", "text": "a red cup"}]},
    ]
    # With a token on either side the text is cut into words as it is between the turns.
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    sides = text.split("a red cup")
    ids = [tokenizer(one, add_special_tokens=False)["input_ids"] for one in (*sides, "a red cup")]
    assert laid_out(model, make_prompt("a red cup")).ids == [*ids[0], *ids[2], *ids[1]]
    assert torch.isfinite(model.encode([make_prompt("a", SMALL)])).all()


BUDGETS = {
    "qwen2_vl": ({"max_pixels": 4 * 64}, {"min_pixels": 30 * 64, "max_pixels": 40 * 64}),
    "qwen2_5_vl": ({"max_pixels": 4 * 64}, {"min_pixels": 30 * 64, "max_pixels": 40 * 64}),
    "qwen3_vl": ({"max_pixels": 4 * 64}, {"min_pixels": 30 * 64, "max_pixels": 40 * 64}),
    "internvl": ({"max_tiles": 1}, {"max_tiles": 4}),
    "smolvlm": ({"max_tiles": 1}, {"max_tiles": 9}),
    "tiny": ({"visual_tokens": 1}, {"visual_tokens": 49}),
}


@pytest.mark.parametrize("family", BUDGETS)
def test_the_picture_budget_decides_the_places(checkpoints, family):
    picture = noise_picture(5, 64, 40)
    rows, prompts = [], [make_prompt(picture, "which film"), WORDS[0]]
    for budget in BUDGETS[family]:
        model = load_vlm(checkpoints.get(family, family), VlmOptions(**budget))
        (features,) = model.image_features([picture])
        tokens = model.family.picture_tokens(features.shape)
        assert len(features.values) == sum(tokens.filled)
        rows.append(len(features.values))
        assert torch.isfinite(model.encode(prompts)).all()
        described = model.visual_identity()
    assert rows[0] < rows[1]
    if family.startswith("qwen"):
        assert rows[0] <= 4
        assert 30 <= rows[1] <= 40
    assert described != load_vlm(checkpoints.get(family, family)).visual_identity()
