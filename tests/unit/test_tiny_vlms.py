"""The tiny checkpoints are usable stand-ins, and the plain forward that checks others holds."""

import hashlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from safetensors.torch import load_file
from tests.reference.vlm_forward import (
    direct_inputs,
    direct_states,
    direct_token_loss,
    load_direct,
)
from tests.tiny_vlms import FAMILIES, write_text_only, write_tiny_vlm

every_family = pytest.mark.parametrize("family", FAMILIES)
TEXT = "Ünïcode 漢字 🎬\n\n\tand plain words 12.5"


def picture(seed, width, height):
    values = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


WIDE, SMALL, HIGH = picture(0, 40, 24), picture(1, 16, 16), picture(2, 20, 48)
PROMPTS = {
    0: [
        [("text", "a red cup")],
        [("text", "The user has bought "), ("text", "nothing but three green bags and a lamp.")],
    ],
    1: [
        [("text", "the item "), ("image", WIDE), ("text", " is new")],
        [("image", SMALL), ("text", "which film")],
        [("text", "ends with "), ("image", HIGH)],
    ],
    2: [
        [("text", "first "), ("image", SMALL), ("text", " then "), ("image", HIGH), ("text", ".")],
        [("image", HIGH), ("image", WIDE), ("text", "two pictures in a row, described here")],
    ],
}
MIXED = [PROMPTS[1][0], PROMPTS[0][0], PROMPTS[2][0], PROMPTS[1][1], PROMPTS[0][1], PROMPTS[2][1]]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    root = tmp_path_factory.mktemp("tiny_vlms")
    return {family: write_tiny_vlm(family, root / family) for family in FAMILIES}


def last_state(folder, *parts):
    return direct_states(folder, [list(parts)]).last()[0]


@every_family
def test_loads_by_the_real_path(checkpoints, family):
    model, processor = load_direct(checkpoints[family])

    tokenizer = processor.tokenizer
    assert model.config.model_type == family
    assert model.config.image_token_id == processor.image_token_id
    assert tokenizer.decode(tokenizer(TEXT)["input_ids"], skip_special_tokens=True) == TEXT
    assert len(tokenizer) <= model.get_input_embeddings().num_embeddings
    assert tokenizer.eos_token_id not in (None, tokenizer.pad_token_id)
    for token in tokenizer.get_added_vocab():
        assert len(tokenizer(token, add_special_tokens=False)["input_ids"]) == 1
    message = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "hi"}]}]
    chat = tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
    assert chat.count(processor.image_token) == 1
    assert "hi" in chat


@every_family
def test_a_seed_decides_the_weights_and_nothing_else(checkpoints, family, tmp_path):
    before = torch.get_rng_state()
    same = write_tiny_vlm(family, tmp_path / "same")
    other = write_tiny_vlm(family, tmp_path / "other", seed=1)

    assert torch.equal(torch.get_rng_state(), before)
    assert digests(same) == digests(checkpoints[family])
    changed = {name for name, digest in digests(other).items() if digest != digests(same)[name]}
    assert changed == {"model.safetensors"}


def digests(folder):
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@every_family
def test_no_parameter_is_a_closed_gate_or_an_empty_position(checkpoints, family):
    for name, values in load_file(checkpoints[family] / "model.safetensors").items():
        spread = values.std() if values.numel() > 1 else values.abs()
        assert spread > 0.05, name


@every_family
def test_content_order_and_number_of_pictures_matter(checkpoints, family):
    after = ("text", "describe it")
    states = [
        last_state(checkpoints[family], *images, after)
        for images in (
            [("image", SMALL)],
            [("image", picture(9, 16, 16))],
            [("image", ImageOps.mirror(SMALL))],
            [("image", SMALL), ("text", "and"), ("image", WIDE)],
            [("image", WIDE), ("text", "and"), ("image", SMALL)],
            [],
        )
    ]
    distance = torch.cdist(torch.stack(states), torch.stack(states))
    assert distance[~torch.eye(len(states), dtype=torch.bool)].min() > 0.3


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"deepseek_vl", "mllama"}))
def test_the_size_of_a_picture_decides_its_tokens(checkpoints, family):
    prompts = [[("image", image)] for image in (SMALL, WIDE, HIGH)]
    counts = direct_states(checkpoints[family], prompts).is_image.sum(1).tolist()
    assert len(set(counts)) > 1
    assert max(counts) <= 20


@every_family
@pytest.mark.parametrize("padding_side", ["right", "left"])
def test_a_batch_equals_its_prompts_one_by_one(checkpoints, family, padding_side):
    batches = PROMPTS.values() if family == "mllama" else [MIXED]
    for prompts in batches:
        batch = direct_states(checkpoints[family], prompts, padding_side=padding_side)
        assert not batch.attention_mask.all()
        for row, prompt in zip(batch.rows(), prompts, strict=True):
            alone = direct_states(checkpoints[family], [prompt]).last_hidden_state[0]
            torch.testing.assert_close(row, alone, atol=1e-4, rtol=0)


def test_mllama_as_transformers_has_it_mixes_no_numbers_of_pictures(checkpoints):
    # Once this fails, transformers masks the attention of tokens that see no picture, and the
    # exception in the test above can go.
    batch = direct_states(checkpoints["mllama"], MIXED).rows()
    alone = direct_states(checkpoints["mllama"], [MIXED[1]]).rows()[0]
    assert (batch[1] - alone).abs().max() > 0.1


@every_family
def test_token_loss_is_the_loss_of_the_model_itself(checkpoints, family):
    folder = checkpoints[family]
    model, processor = load_direct(folder)
    end = processor.tokenizer.eos_token
    answers = ["x", "a red bag of leather", "", "new"]
    # A special token closes the prompts, so that the whole text has the tokens of its two parts.
    prompts = [[*prompt, ("special", end)] for prompt in MIXED[:4]]
    losses = direct_token_loss(folder, prompts, answers)

    for loss, prompt, answer in zip(losses, prompts, answers, strict=True):
        inputs = direct_inputs(model, processor, [[*prompt, ("text", answer), ("special", end)]])
        labels = inputs["input_ids"].clone()
        length = len(processor.tokenizer(answer, add_special_tokens=False)["input_ids"]) + 1
        labels[:, :-length] = -100
        with torch.no_grad():
            torch.testing.assert_close(loss, model(**inputs, labels=labels).loss)


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"mllama"}))
def test_tied_checkpoints_share_the_word_embeddings(family, tmp_path):
    model, _ = load_direct(write_tiny_vlm(family, tmp_path, tied=True))
    assert model.lm_head.weight is model.get_input_embeddings().weight


def test_mllama_is_never_tied(tmp_path):
    with pytest.raises(ValueError, match="mllama cannot be tied"):
        write_tiny_vlm("mllama", tmp_path, tied=True)


def test_a_text_checkpoint_is_no_vision_language_model(tmp_path):
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    folder = write_text_only(tmp_path)
    assert AutoModelForCausalLM.from_pretrained(folder).config.model_type == "qwen2"
    with pytest.raises(ValueError, match="Unrecognized configuration class"):
        AutoModelForImageTextToText.from_pretrained(folder)
