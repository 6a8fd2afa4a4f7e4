"""Fixtures that several folders of tests share."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from tests.milvus_server import GIVEN, MilvusServer, why_no_server


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


@pytest.fixture(scope="session")
def milvus():
    """A Milvus server of our own, which tests may kill and start again."""
    missing = why_no_server()
    if missing:
        pytest.skip(f"no Milvus server can be started here ({missing})")
    one = MilvusServer()
    yield one
    one.remove()


@pytest.fixture(scope="session")
def milvus_url(request) -> str:
    """The address of a Milvus server that no test harms."""
    return os.environ.get(GIVEN) or request.getfixturevalue("milvus").url


@pytest.fixture(autouse=True)
def no_milvus_of_the_user(monkeypatch):
    """What the environment says of a server is the user's, and no matter of tests."""
    monkeypatch.delenv("VLMREC_MILVUS_URL", raising=False)
    monkeypatch.delenv("VLMREC_MILVUS_TOKEN", raising=False)
