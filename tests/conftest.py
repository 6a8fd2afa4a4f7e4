"""Fixtures that several folders of tests share."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Outcome:
    """How a command line ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def run_vlmrec(monkeypatch, capsys) -> Callable[..., Outcome]:
    """Runs the command line's own entry point in this process: fast, and all but a process."""
    from vlmrec.cli.main import main

    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["vlmrec", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        told = capsys.readouterr()
        return Outcome(code, told.out, told.err)

    return run
