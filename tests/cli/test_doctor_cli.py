import importlib.util
import json

import pytest
import typer
from typer.testing import CliRunner

from vlmrec.cli import doctor as doctor_module
from vlmrec.cli.doctor import Extra, doctor
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


@pytest.mark.parametrize("name", ["compact", "tensorboard", "pandas"])
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
