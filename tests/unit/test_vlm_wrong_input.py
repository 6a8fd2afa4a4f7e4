"""What users get wrong with vision-language models: each message says what and what to do."""

import json
import re
import shutil
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.tiny_vlms import write_text_only, write_tiny_vlm

from vlmrec.core.errors import ArtifactError, ConfigError, DataError, MissingExtraError
from vlmrec.testing.vlm_samples import MIXED, SMALL, WIDE, WORDS
from vlmrec.vlm.loading import load_vlm
from vlmrec.vlm.options import TuningOptions, VlmOptions
from vlmrec.vlm.prompts import make_prompt


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    root = tmp_path_factory.mktemp("wrong")
    return {name: write_tiny_vlm(name, root / name) for name in ("qwen2_vl", "internvl")}


@pytest.fixture
def copy_of(checkpoints, tmp_path):
    def copy(name):
        return shutil.copytree(checkpoints[name], tmp_path / name)

    return copy


def edit(folder, name, **changes):
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def edit_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("given", "hint"),
    [("llava", "Known: deepseek_vl, internvl"), ("qwen2_5_vlm", "Did you mean 'qwen2_5_vl'?")],
)
def test_a_family_that_is_not_built_in(copy_of, given, hint):
    folder = copy_of("qwen2_vl")
    edit(folder, "config.json", model_type=given)
    with pytest.raises(ConfigError, match=rf"family '{given}', which is not built in.*") as told:
        load_vlm(str(folder))
    assert str(folder) in told.value.problem
    assert hint in told.value.fix


def test_a_text_only_checkpoint(tmp_path):
    with pytest.raises(ConfigError, match=r"text-only \(type 'qwen2'\).*one of: deepseek_vl, in"):
        load_vlm(str(write_text_only(tmp_path)))


def test_a_config_without_a_type(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"names no model_type.*Give the folder or id of a"):
        load_vlm(str(tmp_path))


def test_a_tokenizer_that_disagrees_on_the_picture_token(copy_of):
    folder = copy_of("qwen2_vl")
    edit(folder, "config.json", image_token_id=5)
    with pytest.raises(
        ArtifactError,
        match=r"disagrees with its model on the picture token '<\|image_pad\|>': it is \d+ in the "
        r"tokenizer and 5 in config.json\. Fetch both from the same checkpoint",
    ):
        load_vlm(str(folder))


def test_a_tokenizer_that_knows_more_tokens_than_the_model(copy_of, checkpoints):
    folder = copy_of("internvl")
    few = load_vlm(str(folder)).family.image_token_id + 1

    def shrink(weights):
        for name in weights:
            if "embed_tokens" in name or "lm_head" in name:
                weights[name] = weights[name][:few].clone()

    edit_weights(folder, shrink)
    config = json.loads((folder / "config.json").read_text())
    edit(folder, "config.json", text_config={**config["text_config"], "vocab_size": few})
    with pytest.raises(ArtifactError, match=rf"knows \d+ tokens, its model only {few}\. Fetch"):
        load_vlm(str(folder))


def test_an_image_token_count_that_does_not_match(copy_of):
    folder = copy_of("internvl")
    edit(folder, "processor_config.json", image_seq_length=5)
    model = load_vlm(str(folder))
    model.encode(WORDS)
    with pytest.raises(ArtifactError, match=r"5 places.* but 4 rows of visual.*'internvl'.*Compar"):
        model.encode([make_prompt(SMALL)])


def test_missing_weights(copy_of):
    folder = copy_of("qwen2_vl")
    edit_weights(folder, lambda weights: weights.pop(next(k for k in weights if "visual" in k)))
    with pytest.raises(ArtifactError, match=r"1 weights are missing or misshapen.*visual.*hold"):
        load_vlm(str(folder))


def test_misshapen_weights(copy_of):
    folder = copy_of("qwen2_vl")

    def bend(weights):
        name = next(one for one in weights if "q_proj.weight" in one)
        weights[name] = weights[name][:-1].clone()

    edit_weights(folder, bend)
    with pytest.raises(ArtifactError, match=r"cannot be used: .*It must hold config.json"):
        load_vlm(str(folder))


@pytest.mark.parametrize(
    "name", ["model.safetensors", "tokenizer.json", "preprocessor_config.json"]
)
@pytest.mark.parametrize("harm", ["gone", "cut"])
def test_a_file_that_is_gone_or_cut_short(copy_of, name, harm):
    path = copy_of("qwen2_vl") / name
    content = path.read_bytes()
    path.unlink()
    if harm == "cut":
        path.write_bytes(content[: len(content) // 2])
    with pytest.raises(
        ArtifactError, match=r"cannot be used: .*It must hold config|tokenizer.*disagr"
    ):
        load_vlm(str(path.parent))


def test_a_checkpoint_without_language_head_only_encodes(copy_of):
    folder = copy_of("qwen2_vl")
    edit_weights(folder, lambda weights: weights.pop("lm_head.weight"))
    headless = load_vlm(str(folder))
    assert torch.isfinite(headless.encode(MIXED)).all()
    with pytest.raises(ConfigError, match=r"'qwen2_vl' checkpoint has no language head.*encode on"):
        headless.token_loss(WORDS, ["a", "b"])
    # What is missing must not be drawn anew: the description is a cache key.
    before = torch.get_rng_state()
    assert headless.describe() == load_vlm(str(folder)).describe()
    assert torch.equal(torch.get_rng_state(), before)


def test_a_hub_id_that_cannot_be_had(monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ArtifactError, match=r"'nobody/nothing' at revision 'v1' is no fol") as told:
        load_vlm("nobody/nothing@v1")
    assert constants.HF_HUB_CACHE in told.value.problem
    assert re.match(r"Offline mode is on .*copy config.json, .* into a folder", told.value.fix)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ArtifactError, match="neither 'compact' nor an existing folder"):
        load_vlm(str(tmp_path / "gone"))


@pytest.mark.parametrize(
    ("name", "option", "fix"),
    [
        ("internvl", {"max_pixels": 1000}, "set by: max_tiles."),
        ("qwen2_vl", {"max_tiles": 2}, "set by: max_pixels, min_pixels."),
        ("qwen2_vl", {"visual_tokens": 4}, "set by: max_pixels, min_pixels."),
        ("tiny", {"min_pixels": 9}, "set by: visual_tokens."),
    ],
)
def test_a_budget_of_another_family(checkpoints, name, option, fix):
    with pytest.raises(
        ConfigError, match=f"'{next(iter(option))}' does not apply.*'{name}'"
    ) as told:
        load_vlm(str(checkpoints.get(name, name)), VlmOptions(**option))
    assert fix in told.value.fix


def test_chat_without_a_template(copy_of):
    folder = copy_of("qwen2_vl")
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ConfigError, match=r"chat=true .*no chat template.*Set chat=false, or add"):
        load_vlm(str(folder), VlmOptions(chat=True))


def test_an_instruction_without_chat():
    with pytest.raises(ConfigError, match=r"An instruction.*only within a chat.*Set chat=true"):
        load_vlm("tiny", VlmOptions(instruction="Describe the item."))


def test_peft_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtraError, match=r"LoRA needs the package 'peft'.*vlmrec\[vlm\]"):
        load_vlm("tiny", tuning=TuningOptions(kind="lora"))


def test_as_many_answers_as_prompts():
    with pytest.raises(ValueError, match="2 prompts but 1 answers"):
        load_vlm("tiny").token_loss(WORDS, ["a"])


def test_a_model_that_gives_no_number():
    model = load_vlm("tiny")
    with torch.no_grad():
        model.family.word_embeddings.weight.fill_(float("inf"))
    with pytest.raises(FloatingPointError, match="Vectors of prompts hold NaN"):
        model.encode(WORDS)


def test_max_tokens_too_small_for_a_picture(checkpoints):
    model = load_vlm(str(checkpoints["internvl"]), VlmOptions(max_tokens=8))
    with pytest.raises(ConfigError, match="max_tokens=8 leaves a prompt neither text nor picture"):
        model.encode([make_prompt(WIDE)])


def test_no_text_and_no_picture():
    with pytest.raises(DataError, match="neither text nor a readable picture"):
        load_vlm("tiny").encode([make_prompt("")])
