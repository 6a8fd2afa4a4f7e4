import json

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from tests.tiny_vlms import write_text_only, write_tiny_vlm

from vlmrec.data.dataset import Dataset
from vlmrec.vlm.device_speed import Speed


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    root = tmp_path_factory.mktemp("shop")
    (root / "images").mkdir()
    names = [f"i{number}" for number in range(20)]
    for name in names[:10]:
        Image.new("RGB", (40, 24), "red").save(root / "images" / f"{name}.png")
    draw = np.random.default_rng(0)
    rows = [
        (f"u{user}", names[item], time)
        for user in range(12)
        for time, item in enumerate(draw.integers(0, 20, 8))
    ]
    log = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    items = pl.DataFrame({"item_id": names, "title": [f"a thing of sort {n}" for n in names]})
    Dataset.from_frames(log, items, root / "images").save(root / "data")
    return root / "data"


@pytest.fixture(autouse=True)
def known_speed(monkeypatch):
    speed = Speed(1e11, 1e10)
    monkeypatch.setattr("vlmrec.pipeline.estimating.measure_speed", lambda *_: speed)


def test_a_newcomer_sees_plans_and_one_verdict(run_vlmrec, shop):
    told = run_vlmrec("estimate", "tiny", "--data", shop, "--memory", "2GB")
    assert told.code == 0, told.err
    for part in ("tiny: tiny", "60 training rows", "50% of the items", "LoRA rank 16", "any"):
        assert part in told.out
    assert "Fits: full, batch 32" in told.out
    assert "--set tuning.kind=full" in told.out


def test_json_adds_up(run_vlmrec, shop):
    arguments = ("--memory", "2GiB", "--set", "tuning.rank=4", "--set", "tuning.kind=lora")
    told = run_vlmrec("estimate", "tiny", "-d", shop, *arguments, "--history", 3, "--json")
    found = json.loads(told.out)
    assert found["facts"]["memory_bytes"] == 2 * 2**30
    assert [plan["tuning"]["rank"] for plan in found["plans"]] == [4] * 5
    assert found["plans"][found["advised"]]["tuning"]["kind"] == "lora"
    for plan in found["plans"]:
        assert plan["peak_bytes"] == sum(plan["memory"].values()) + 600_000_000
        assert plan["seconds_per_epoch"] > 0
    kept = [plan["memory"]["activations"] for plan in found["plans"]]
    assert kept[1] < kept[0]
    assert kept[3] < kept[2]


def test_longer_histories_and_batches_need_more(run_vlmrec, shop):
    def peak(*arguments):
        told = run_vlmrec("estimate", "tiny", "-d", shop, "--memory", "9GB", "--json", *arguments)
        return json.loads(told.out)["plans"][0]["peak_bytes"]

    assert peak("--history", 1) < peak() < peak("--batch", 64)


def test_a_checkpoint_folder_is_counted_by_its_own_tokenizer(run_vlmrec, shop, tmp_path):
    folder = write_tiny_vlm("qwen2_vl", tmp_path / "vlm")
    (folder / "model.safetensors").unlink()  # nothing of it is read
    told = run_vlmrec("estimate", folder, "-d", shop, "--memory", "2GB", "--json")
    facts = json.loads(told.out)["facts"]
    assert facts["tokenizer"] == "own"
    assert 4 <= facts["tokens_per_picture"] - 2 <= 16


def test_what_does_not_fit_says_what_would(run_vlmrec, shop):
    told = run_vlmrec("estimate", "tiny", "-d", shop, "--memory", "100MB")
    assert told.code == 0
    assert "Does not fit" in told.out
    assert "more memory than 6" in told.out
    assert "none fits" in told.out


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_here_leaves_the_time_open(run_vlmrec, shop):
    told = run_vlmrec("estimate", "tiny", "-d", shop, "--device", "cuda", "--memory", "2GB")
    assert told.code == 0
    assert "on cuda with 2.0 GB" in told.out
    assert "The time is unknown, because the device is not here." in told.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("qwen/none",), "The sizes of the model 'qwen/none' are not known here"),
        (("compct",), "Did you mean 'compact'"),
        (("tiny", "--memory", "much"), "'much' is no amount of memory. Write a number"),
        (("tiny", "--set", "tuning.rnk=3"), "Unknown option 'tuning.rnk' for the estimate. Did"),
        (("tiny", "--set", "tuning.rank=0"), "Option 'tuning.rank' for the estimate was given 0"),
        (("tiny", "--set", "tuning.kind=frozen"), "plans for 'lora' and 'full' are estimated"),
        (("tiny", "--set", "tuning.vision=true"), "the estimate is for a frozen vision tower"),
        (("tiny", "--set", "vlm.max_pixels=9"), "does not apply to the family 'tiny'"),
        (("tiny", "--set", "tuning.targets=[nope]"), "match no linear layer"),
    ],
)
def test_wrong_input_exits_with_2(run_vlmrec, shop, arguments, message):
    told = run_vlmrec("estimate", *arguments, "--data", shop)
    assert told.code == 2
    assert message in " ".join(told.err.split())
    assert not told.out


def test_missing_dataset_and_text_only_checkpoint(run_vlmrec, shop, tmp_path):
    told = run_vlmrec("estimate", "tiny", "--data", tmp_path / "nowhere")
    assert told.code == 2
    assert "nowhere" in told.err
    folder = write_text_only(tmp_path / "text")
    told = run_vlmrec("estimate", folder, "--data", shop)
    assert told.code == 2
    assert "is text-only" in told.err
