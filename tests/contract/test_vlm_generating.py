"""Greedy answers of every family equal the plain way's, token by token."""

import io

import pytest
import torch
from PIL import Image
from tests.reference import compact_forward
from tests.reference.vlm_forward import direct_answer
from tests.tiny_vlms import write_tiny_vlm

from vlmrec.core.errors import ConfigError, DataError
from vlmrec.testing.vlm_samples import MIXED, SMALL, WORDS, noise_picture
from vlmrec.vlm.families.known import FAMILIES
from vlmrec.vlm.generating import generate, generate_tokens
from vlmrec.vlm.layout import end_token
from vlmrec.vlm.loading import load_vlm
from vlmrec.vlm.options import TuningOptions, VlmOptions
from vlmrec.vlm.prompts import TextPart, make_prompt

MOST = 7


def plain_parts(prompt):
    return [
        ("text", part.text)
        if isinstance(part, TextPart)
        else ("image", Image.open(io.BytesIO(part.source)))
        for part in prompt
    ]


def plain_answer(folder, prompt):
    if folder.name != "mllama":
        return direct_answer(folder, plain_parts(prompt), MOST)
    parts = [("special", "<|begin_of_text|>"), *plain_parts(prompt)]
    return direct_answer(folder, parts, MOST, add_special_tokens=False)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_answers_of_a_family_are_those_of_transformers(family, tmp_path):
    folder = write_tiny_vlm(family, tmp_path / family)
    wanted = [plain_answer(folder, prompt) for prompt in MIXED]
    assert len({tuple(one) for one in wanted}) > 1
    for options in (VlmOptions(), VlmOptions(padding="left", tokens_per_batch=60)):
        model = load_vlm(str(folder), options)
        assert generate_tokens(model, MIXED, MOST) == wanted, options
        assert generate_tokens(model, MIXED[:1], MOST) == wanted[:1], "alone"


@torch.no_grad()
def plain_tiny_answers(model, prompts, most):
    family = model.family
    for prompt in prompts:
        *_, embeddings = compact_forward.embedded(family, prompt)
        yield compact_forward.greedy(
            family.network, embeddings, most, family.tokenizer.sep_token_id
        )


@pytest.fixture
def tiny():
    return load_vlm("tiny")


@pytest.mark.parametrize("options", [{}, {"padding": "left"}, {"tokens_per_batch": 1}])
def test_answers_of_compact_are_those_of_written_out_masks(options):
    model = load_vlm("tiny", VlmOptions(**options))
    prompts = [*MIXED, MIXED[1], MIXED[0]]
    wanted = list(plain_tiny_answers(model, prompts, MOST))
    assert len({tuple(one) for one in wanted}) > 3
    assert generate_tokens(model, prompts, MOST) == wanted
    texts = [model.family.tokenizer.decode(ids, skip_special_tokens=True) for ids in wanted]
    assert generate(model, prompts, MOST) == [text.strip() for text in texts]


def ending_where(model, token):
    """Makes the model end an answer where it would have said `token`."""
    end, plain = end_token(model.family.tokenizer), model.family.logits

    def swapped(states):
        logits = plain(states)
        order = list(range(logits.shape[-1]))
        order[token], order[end] = end, token
        return logits[..., order]

    model.family.logits = swapped


def test_an_answer_stops_at_the_end_token(tiny):
    before = generate_tokens(tiny, MIXED, 2 * MOST)
    token = before[0][2]
    ending_where(tiny, token)
    end = end_token(tiny.family.tokenizer)
    found = generate_tokens(tiny, MIXED, 2 * MOST)
    assert found == [[*one[: one.index(token)], end] if token in one else one for one in before]
    lengths = [len(one) for one in found]
    assert min(lengths) < max(lengths) == 2 * MOST, "some end, some go on"
    assert tiny.family.tokenizer.sep_token not in "".join(generate(tiny, MIXED, 2 * MOST))


def test_length_is_bounded_and_kept_free_behind_the_prompt(tiny):
    assert [len(one) for one in generate_tokens(tiny, MIXED, 1)] == [1] * len(MIXED)
    most = tiny.layout.max_tokens
    long = make_prompt("words " * most)
    assert len(generate_tokens(tiny, [long], 5)[0]) == 5
    assert tiny.report.texts_cut == 1
    for wrong in (0, most):
        with pytest.raises(
            ConfigError, match=rf"max_new_tokens={wrong}, .*Ask for 1 to {most - 1}"
        ):
            generate(tiny, WORDS, wrong)


def test_pictures_are_seen_once_and_change_the_answer(tiny, monkeypatch):
    seen = []
    see = tiny.family.see
    monkeypatch.setattr(tiny.family, "see", lambda pixels: seen.extend(pixels) or see(pixels))
    prompts = [make_prompt(noise_picture(i, 30, 30), "which film") for i in range(3)]
    answers = generate_tokens(tiny, [*prompts, prompts[0]], MOST)
    assert len(seen) == 3
    assert answers[0] == answers[3] != answers[1]
    with pytest.raises(DataError, match="neither text nor a readable picture"):
        generate(tiny, [make_prompt(b"no picture")])


def test_training_mode_is_left_as_it_was_and_dropout_is_off():
    tuning = TuningOptions(kind="lora", dropout=0.9)
    model = load_vlm("tiny", tuning=tuning).train()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(0.1)
    found = generate_tokens(model, MIXED, MOST)
    assert model.training
    assert found == generate_tokens(model.eval(), MIXED, MOST)
    assert not model.training


def test_nothing_is_answered_by_nothing_and_no_head_writes_nothing(tiny):
    assert generate(tiny, []) == []
    tiny.family.can_generate = False
    with pytest.raises(ConfigError, match="no language head, so it writes no answers"):
        generate(tiny, [make_prompt(SMALL)])
