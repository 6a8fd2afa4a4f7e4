"""A model is taught to see by a catalogue: it learns, resumes, and says what it cannot do."""

import json
import os
import signal
import time

import polars as pl
import pytest
from PIL import Image
from tests.command_line import call, start

from vlmrec.core.errors import ConfigError, DataError
from vlmrec.core.tensor_files import load_tensors
from vlmrec.data.dataset import Dataset
from vlmrec.items.cache import VectorCache
from vlmrec.pipeline.aligning import AlignOptions, align
from vlmrec.vlm.loading import load_vlm

COLOURS = ("red", "blue", "green", "gold", "black", "white", "purple", "orange")
SHORT = ["--set", "train.epochs=6", "--set", "train.batch_size=16", "--set", "train.device=cpu"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Pictures whose colour and shape are their words: what a tower of any weights can tell."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "images").mkdir()
    rows = []
    for number, colour in enumerate(COLOURS):
        for size in range(12):
            name = f"images/{number}-{size}.png"
            image = Image.new("RGB", (40, 40), "grey")
            image.paste(colour, (4, 4, 10 + 2 * size, 36))
            image.save(folder / name)
            rows.append({"item_id": f"{number}-{size}", "title": f"{colour} {size}", "image": name})
    rows.append({"item_id": "blank", "title": "no picture", "image": None})
    pl.DataFrame(rows).write_parquet(folder / "items.parquet")
    log = [("u", row["item_id"], 1_500_000_000 + i) for i, row in enumerate(rows)]
    schema = ["user_id", "item_id", "timestamp"]
    pl.DataFrame(log, schema=schema, orient="row").write_parquet(folder / "interactions.parquet")
    return folder


def options(**train):
    settings = {"epochs": 12, "batch_size": 24, "device": "cpu", "learning_rate": 3e-3, **train}
    base = {**AlignOptions().model_dump(), "holdout": 0.25}
    return AlignOptions.parse({**base, "train": base["train"] | settings}, "the alignment")


def run(shop, out, tmp_path, chosen=None):
    return align(
        Dataset.load(shop),
        out,
        encoder="tiny",
        options=chosen or options(),
        cache=VectorCache(tmp_path / "cache"),
        quiet=True,
    )


def test_pictures_that_were_not_learned_from_find_their_words(shop, tmp_path):
    record = run(shop, tmp_path / "out", tmp_path, options(epochs=60, patience=30))
    found = record["picture_to_text"]
    chance = found["chance"]["Recall@10"]
    assert record["pairs"] == {"learned": 72, "held_out": 24}
    assert found["candidates"] == 96
    assert found["held out, before"]["Recall@10"][0] < 2.5 * chance
    assert found["held out"]["Recall@10"][0] > 4 * chance
    model = load_vlm(str(tmp_path / "out"))
    assert model.family.name == "tiny"
    assert json.loads((tmp_path / "out" / "alignment.json").read_text()) == record
    assert not list((tmp_path / "out").glob("checkpoint-*"))


def test_the_projector_learns_and_words_stay(shop, tmp_path):
    run(shop, tmp_path / "out", tmp_path, options(epochs=1))
    before, after = load_vlm("tiny").state_dict(), load_vlm(str(tmp_path / "out")).state_dict()
    changed = {name for name in before if not before[name].equal(after[name])}
    assert changed
    assert all(name.startswith("network.projector.") for name in changed)


def test_chunks_give_the_same_alignment(shop, tmp_path):
    run(shop, tmp_path / "whole", tmp_path, options(epochs=2))
    run(shop, tmp_path / "parts", tmp_path, options(epochs=2).model_copy(update={"chunk": 7}))
    whole, parts = (
        load_tensors(tmp_path / name / "model.safetensors") for name in ("whole", "parts")
    )
    assert max(float((whole[key] - parts[key]).abs().max()) for key in whole) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("tuning", ["connectors", "lora"])
def test_killed_and_called_again_ends_with_the_same_weights(shop, tmp_path, tuning):
    settings = [*SHORT, "--set", f"tuning.kind={tuning}", "--set", "tuning.dropout=0.1"]
    whole = call("align", shop, "--encoder", "tiny", "--out", tmp_path / "whole", *settings)
    assert whole.returncode == 0, whole.stderr
    command = ("align", shop, "--encoder", "tiny", "--out", tmp_path / "cut", *settings)
    child = start(*command)
    deadline = time.monotonic() + 120
    while not list((tmp_path / "cut").glob("checkpoint-*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    assert list((tmp_path / "cut").glob("checkpoint-*"))
    again = call(*command)
    assert again.returncode == 0, again.stderr
    assert "continues at epoch" in again.stderr
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "cut")]
    assert files[0] == files[1]


def test_folders_that_are_taken_are_refused(shop, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x").write_text("x")
    with pytest.raises(DataError, match="holds something else than an alignment"):
        run(shop, tmp_path / "mine", tmp_path)
    run(shop, tmp_path / "out", tmp_path, options(epochs=1))
    with pytest.raises(DataError, match="holds a finished alignment"):
        run(shop, tmp_path / "out", tmp_path, options(epochs=1))


def test_nothing_to_learn_is_told(shop, tmp_path):
    frozen = options().model_copy(
        update={"tuning": AlignOptions().tuning.model_copy(update={"kind": "frozen"})}
    )
    with pytest.raises(ConfigError, match="nothing of the model learns"):
        run(shop, tmp_path / "out", tmp_path, frozen)


def test_a_catalogue_without_pictures_is_told(tmp_path):
    items = pl.DataFrame({"item_id": ["a", "b"], "title": ["x", "y"]})
    log = pl.DataFrame({"user_id": ["u", "u"], "item_id": ["a", "b"], "timestamp": [1, 2]})
    dataset = Dataset.from_frames(log, items)
    with pytest.raises(DataError, match="0 items have both a text and a readable picture"):
        align(dataset, tmp_path / "out", encoder="tiny", cache=VectorCache(tmp_path), quiet=True)
