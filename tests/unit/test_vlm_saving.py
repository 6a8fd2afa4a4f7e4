import json

import pytest
import torch
from tests.tiny_vlms import write_tiny_vlm

from vlmrec.core.errors import ArtifactError, DataError
from vlmrec.vlm.loading import load_vlm
from vlmrec.vlm.options import TuningOptions, VlmOptions
from vlmrec.vlm.prompts import SpecialPart, make_prompt
from vlmrec.vlm.saving import save_vlm

LORA = TuningOptions(kind="lora", rank=2)
PROMPTS = [
    make_prompt("a red cup", SpecialPart("[Cur_Item]")),
    make_prompt("toy"),
    make_prompt("x"),
]


@pytest.fixture(params=["tiny", "qwen2_vl", "smolvlm"])
def name(request, tmp_path_factory):
    if request.param == "tiny":
        return "tiny"
    return str(write_tiny_vlm(request.param, tmp_path_factory.mktemp(request.param)))


def test_a_saved_model_encodes_as_before_with_lora_and_learned_tokens(name, tmp_path):
    model = load_vlm(name, tuning=LORA)
    model.add_special_tokens(["[Cur_Item]", "[User]"])
    with torch.no_grad():
        for key, weight in model.named_parameters():
            if "lora_B" in key or key.startswith("learned"):
                weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
        expected = model.encode(PROMPTS, pooling="last")
        loss = model.token_loss(PROMPTS, ["a", "bb", "c"])
    save_vlm(model, tmp_path / "saved")
    again = load_vlm(str(tmp_path / "saved"))
    with torch.no_grad():
        torch.testing.assert_close(
            again.encode(PROMPTS, pooling="last"), expected, atol=1e-5, rtol=1e-5
        )
        torch.testing.assert_close(
            again.token_loss(PROMPTS, ["a", "bb", "c"]), loss, atol=1e-5, rtol=1e-5
        )
        plain = load_vlm(name)
        assert (plain.encode(PROMPTS[1:]) - model.encode(PROMPTS[1:])).abs().max() > 1e-3
    assert not any("lora" in key for key in again.state_dict())


def test_other_software_reads_the_export(tmp_path):
    from transformers import AutoModelForImageTextToText, AutoTokenizer

    folder = write_tiny_vlm("qwen2_vl", tmp_path / "base")
    model = load_vlm(str(folder), tuning=LORA)
    save_vlm(model, tmp_path / "saved")
    theirs = AutoModelForImageTextToText.from_pretrained(tmp_path / "saved").eval()
    tokens = AutoTokenizer.from_pretrained(tmp_path / "saved")("a red cup", return_tensors="pt")
    with torch.no_grad():
        states = theirs.model(**tokens).last_hidden_state[:, -1]
        torch.testing.assert_close(model.encode([make_prompt("a red cup")]), states)


def test_a_folder_that_is_taken_is_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("x")
    with pytest.raises(DataError, match="exists and is not empty"):
        save_vlm(load_vlm("tiny"), tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_visual_tokens_of_a_saved_model_can_be_changed(tmp_path):
    save_vlm(load_vlm("tiny"), tmp_path / "saved")
    other = load_vlm(str(tmp_path / "saved"), VlmOptions(visual_tokens=9))
    assert len(other.family.picture_tokens(()).ids) == 9


def test_weights_of_another_size_are_refused(tmp_path):
    save_vlm(load_vlm("tiny"), tmp_path / "saved")
    config = json.loads((tmp_path / "saved" / "config.json").read_text())
    config["text"]["intermediate_size"] = 48
    (tmp_path / "saved" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ArtifactError, match=r"The weights in .* do not fit its config\.json"):
        load_vlm(str(tmp_path / "saved"))
