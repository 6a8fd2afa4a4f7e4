"""`vlmrec embed` with a vision-language model: vectors, manifest, and what goes wrong."""

import json

import polars as pl
import pytest
from PIL import Image
from tests.tiny_vlms import write_text_only, write_tiny_vlm

from vlmrec.items.vector_files import load_vectors

IDS = ["a", "b", "c", "d"]


@pytest.fixture
def shop(tmp_path, monkeypatch):
    monkeypatch.setenv("VLMREC_CACHE", str(tmp_path / "default-cache"))
    folder = tmp_path / "shop"
    (folder / "images").mkdir(parents=True)
    Image.new("RGB", (40, 60), "red").save(folder / "images" / "a.png")
    Image.new("RGB", (60, 40), "blue").save(folder / "images" / "b.png")
    (folder / "images" / "c.png").write_bytes(b"<html>")
    write_items(folder, ["a red cup", "", "blue toy", ""])
    rows = [("u", item, 1_500_000_000 + i) for i, item in enumerate(IDS)]
    log = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    log.write_parquet(folder / "interactions.parquet")
    return folder


def write_items(folder, titles):
    images = ["images/a.png", "images/b.png", "images/c.png", None]
    pl.DataFrame({"item_id": IDS, "title": titles, "image": images}).write_parquet(
        folder / "items.parquet"
    )


def embed(run_vlmrec, shop, out, *more, encoder="tiny"):
    return run_vlmrec(
        "embed", shop, "--modality", "both", "--encoder", encoder, "--out", out, *more
    )


def test_items_get_one_vector_of_both_parts_and_a_manifest(shop, tmp_path, run_vlmrec):
    out = tmp_path / "items.safetensors"
    done = embed(run_vlmrec, shop, out, "--set", "visual_tokens=9", "--json")
    assert done.code == 0, done.err
    manifest = json.loads(done.out)
    assert manifest == json.loads((tmp_path / "items.safetensors.json").read_text())
    assert load_vectors(out, IDS).present.tolist() == [False, True, True, True, False]
    assert manifest["counts"]["with_vector"] == 3
    assert manifest["missing_items"] == ["d"]
    assert manifest["catalogue"] == {"without_text": 2, "without_image": 1}
    assert manifest["picture_problems"] == {"not-a-picture": 1}
    encoder = manifest["encoder"]
    assert (encoder["name"], encoder["revision"], encoder["architecture"]) == ("tiny", None, "tiny")
    assert (encoder["prompt"], encoder["visual_tokens"]) == ("{image}{text}", 9)
    assert (encoder["resolution"], encoder["dtype"]) == (56, "float32")


def test_after_one_edit_one_item_is_encoded(shop, tmp_path, run_vlmrec):
    out = tmp_path / "items.npy"
    assert embed(run_vlmrec, shop, out).code == 0
    write_items(shop, ["a red cup", "", "a blue toy, edited", ""])
    again = embed(run_vlmrec, shop, out, "--overwrite", "--json")
    counts = json.loads(again.out)["counts"]
    assert (counts["encoded_now"], counts["from_cache"], counts["missing"]) == (1, 2, 1)


def test_text_cut_by_the_model_is_told(shop, tmp_path, run_vlmrec):
    done = embed(run_vlmrec, shop, tmp_path / "x.npy", "--set", "max_tokens=12")
    assert "Too long for the model (max_tokens): 1 texts cut" in done.out


def test_a_family_of_the_hub_is_used_by_its_folder(shop, tmp_path, run_vlmrec):
    folder = write_tiny_vlm("qwen2_vl", tmp_path / "vlm")
    for modality, n in (("both", 3), ("text", 2), ("image", 2)):
        out = tmp_path / f"{modality}.npy"
        done = run_vlmrec(
            "embed", shop, "--modality", modality, "--encoder", folder, "--out", out, "--json"
        )
        assert done.code == 0, done.err
        assert json.loads(done.out)["counts"]["with_vector"] == n


@pytest.mark.parametrize(
    ("more", "problem", "fix"),
    [
        (
            ("--set", "max_pixels=99"),
            "The option 'max_pixels' does not apply to the family 'tiny'",
            "visual_tokens",
        ),
        (("--set", "visual_tokens=5"), "Option 'visual_tokens'", "Correct the value"),
        (("--set", "poling=last"), "Unknown option 'poling'", "Did you mean 'pooling'?"),
        (("--set", "pooling=cls"), "The pooling 'cls' is neither", "choose one of those"),
        (("--prompt", "{title}"), "has the unknown place {title}", "Use {text}, {image}"),
        (("--set", "chat=true"), "this checkpoint has no chat template", "Set chat=false"),
    ],
)
def test_wrong_options_are_told_with_exit_code_2(shop, tmp_path, run_vlmrec, more, problem, fix):
    done = embed(run_vlmrec, shop, tmp_path / "x.npy", *more)
    assert done.code == 2
    assert problem in done.err
    assert fix in done.err
    assert not (tmp_path / "x.npy").exists()


def test_wrong_checkpoints_are_told_with_exit_code_2(shop, tmp_path, run_vlmrec):
    text_only = write_text_only(tmp_path / "text")
    done = embed(run_vlmrec, shop, tmp_path / "x.npy", encoder=text_only)
    assert done.code == 2
    assert "is text-only (type 'qwen2'): it has no vision tower" in done.err
    unknown = tmp_path / "unknown"
    unknown.mkdir()
    (unknown / "config.json").write_text('{"model_type": "qwen9_vl", "vision_config": {}}')
    done = embed(run_vlmrec, shop, tmp_path / "x.npy", encoder=unknown)
    assert done.code == 2
    assert (
        "is of the family 'qwen9_vl', which is not built in. Did you mean 'qwen"
        in done.err.replace("\n       ", " ")
    )


def test_prompts_are_refused_by_plain_encoders(shop, tmp_path, run_vlmrec):
    done = run_vlmrec(
        "embed", shop, "--modality", "text", "--out", tmp_path / "x.npy", "--prompt", "{text}"
    )
    assert done.code == 2
    assert "The encoder 'compact' reads no prompts" in done.err


def test_a_named_cache_folder_that_cannot_be_used_is_an_error(shop, tmp_path, run_vlmrec):
    (tmp_path / "file").write_text("in the way")
    named = tmp_path / "file" / "cache"
    done = embed(run_vlmrec, shop, tmp_path / "x.npy", "--cache", named)
    assert done.code == 2
    assert f"The cache folder '{named}' cannot be used" in done.err
    assert "choose another --cache" in done.err


def test_the_default_cache_folder_is_no_reason_to_stop(
    shop, tmp_path, run_vlmrec, monkeypatch, caplog
):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("VLMREC_CACHE", str(tmp_path / "file" / "cache"))
    assert embed(run_vlmrec, shop, tmp_path / "x.npy").code == 0
    assert "going on without it" in caplog.text


def test_a_full_disk_under_a_named_cache_is_an_error(shop, tmp_path, run_vlmrec, monkeypatch):
    import os

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    done = embed(run_vlmrec, shop, tmp_path / "x.npy", "--cache", tmp_path / "named")
    assert done.code == 2
    assert "No space left on device" in done.err
    assert not (tmp_path / "x.npy").exists()
