"""`vlmrec demo` never deletes a folder that is not its own."""

from pathlib import Path

import pytest

from vlmrec.cli.demo import demo
from vlmrec.core.errors import DataError


def test_a_folder_of_somebody_else_is_never_replaced(tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="something else than a demo; it is not replaced"):
        demo(tmp_path, overwrite=True)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_an_earlier_demo_is_replaced_only_when_asked(tmp_path: Path):
    (tmp_path / "raw").mkdir()
    with pytest.raises(DataError, match=r"exists and is not empty.*--overwrite"):
        demo(tmp_path)
    assert (tmp_path / "raw").is_dir()
