import json
import subprocess
import sys

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tests.tiny_checkpoints import write_tiny_bert, write_tiny_clip, write_tiny_vit

from vlmrec.core.errors import ArtifactError, ConfigError
from vlmrec.vlm.checkpoints import CheckpointSource
from vlmrec.vlm.encoders import load_image_encoder, load_text_encoder


@pytest.fixture
def bert(tmp_path):
    return write_tiny_bert(tmp_path / "bert")


def test_text_vector_is_the_mean_of_the_models_last_states(bert):
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(bert), AutoModel.from_pretrained(bert).eval()
    ids = tokenizer("a red cup", return_tensors="pt")
    with torch.no_grad():
        expected = model(**ids).last_hidden_state.mean(dim=1)
    found = load_text_encoder(str(bert)).encode_texts(["a red cup"])
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)


def test_long_text_is_cut_not_refused(bert):
    encoder = load_text_encoder(str(bert))
    assert json.loads(encoder.identity)["max_length"] == 32
    long = encoder.encode_texts(["cup " * 500])
    torch.testing.assert_close(long, encoder.encode_texts(["cup " * 30]), atol=1e-5, rtol=1e-5)


def test_identity_follows_weights_and_recipe_not_the_folder(tmp_path, bert):
    same = load_text_encoder(str(write_tiny_bert(tmp_path / "moved")))
    weights = load_text_encoder(str(write_tiny_bert(tmp_path / "other", seed=1)))
    recipe = load_text_encoder(str(write_tiny_bert(tmp_path / "cls", modules=True)))
    identity = load_text_encoder(str(bert)).identity
    assert same.identity == identity
    assert len({identity, weights.identity, recipe.identity}) == 3
    assert str(tmp_path) not in identity


def test_identity_follows_the_tokenizer(bert):
    before = load_text_encoder(str(bert)).identity
    path = bert / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "do_lower_case": False}))
    assert load_text_encoder(str(bert)).identity != before


def test_vision_vector_is_the_models_pooled_output(tmp_path):
    from transformers import ViTModel

    folder = write_tiny_vit(tmp_path / "vit")
    Image.new("RGB", (50, 20), (255, 0, 127)).save(tmp_path / "a.png")
    pixels = (torch.tensor([255.0, 0, 127]) / 255 - 0.5) / 0.5
    model = ViTModel.from_pretrained(folder).eval()
    with torch.no_grad():
        expected = model(pixels.view(1, 3, 1, 1).expand(1, 3, 32, 32)).pooler_output
    found, present = load_image_encoder(str(folder)).encode_images([tmp_path / "a.png"])
    assert present.all()
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_absent_pooler_is_not_drawn_at_random(tmp_path):
    folder = str(write_tiny_vit(tmp_path / "vit", pooler=False))
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.png")
    encoders = [load_image_encoder(folder) for _ in range(2)]
    assert json.loads(encoders[0].identity)["pooling"] == "mean"
    first, second = (encoder.encode_images([tmp_path / "a.png"])[0] for encoder in encoders)
    assert torch.equal(first, second)


def test_text_models_and_dual_encoders_are_told_apart(tmp_path, bert):
    with pytest.raises(ConfigError, match="type 'clip', which gives no text vectors"):
        load_text_encoder(str(write_tiny_clip(tmp_path / "clip")))
    with pytest.raises(ArtifactError, match=r"cannot be used.*preprocessor_config.json"):
        load_image_encoder(str(bert))


def test_incomplete_checkpoints_say_what_a_folder_must_hold(tmp_path, bert):
    tensors = load_file(bert / "model.safetensors")
    lost = tensors.pop("encoder.layer.1.output.dense.weight")
    save_file(tensors, bert / "model.safetensors", {"format": "pt"})
    with pytest.raises(ArtifactError, match=r"1 weights are missing.*encoder\.layer\.1\.output"):
        load_text_encoder(str(bert))
    (bert / "model.safetensors").write_bytes(b"junk")
    with pytest.raises(ArtifactError, match=r"cannot be used.*It must hold config.json"):
        load_text_encoder(str(bert))
    (bert / "model.safetensors").unlink()
    torch.save({"a": lost}, bert / "pytorch_model.bin")
    with pytest.raises(ArtifactError, match=r"pickle files .* are refused"):
        load_text_encoder(str(bert))
    (bert / "config.json").unlink()
    with pytest.raises(ArtifactError, match=r"It must hold config.json, model.safetensors"):
        load_text_encoder(str(bert))


def test_names_that_cannot_be_a_checkpoint(tmp_path):
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ArtifactError, match="is a file; a checkpoint folder was expected"):
        CheckpointSource.parse(str(tmp_path / "model.safetensors"))
    with pytest.raises(ArtifactError, match="neither 'compact' nor an existing folder nor a hub"):
        CheckpointSource.parse("./no/such/folder")
    with pytest.raises(ConfigError, match="is empty"):
        CheckpointSource.parse(" ")
    assert CheckpointSource.parse("owner/model@v1") == CheckpointSource("owner/model", "v1", False)
    assert CheckpointSource.parse(str(tmp_path)).is_folder


def test_offline_hub_id_says_where_it_looked_and_what_to_do(tmp_path):
    code = "from vlmrec.vlm.encoders import *; load_text_encoder('owner/model@v1')"
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    message = done.stderr.splitlines()[-1]
    for part in ("ArtifactError", "'owner/model' at revision 'v1'", str(tmp_path), "Offline mode"):
        assert part in message


def test_importing_the_room_imports_no_transformers():
    code = (
        "import sys, vlmrec.vlm.encoders, vlmrec.items.vector_files, vlmrec.cli.embed;"
        "sys.exit('transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
