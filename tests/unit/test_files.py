import errno
import json

import pytest

from vlmrec.core.errors import ArtifactError, DataError
from vlmrec.core.files import (
    atomic_file,
    atomic_folder,
    explain_os_error,
    read_json_object,
    write_json,
)


def fail_within(context, name=None):
    with context as temporary:
        (temporary / name if name else temporary).write_text("half")
        raise RuntimeError


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with pytest.raises(RuntimeError):
        fail_within(atomic_file(path))
    assert list(path.parent.iterdir()) == []
    with atomic_file(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError):
        fail_within(atomic_file(path))
    assert path.read_text() == "old"


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "run"
    with pytest.raises(RuntimeError):
        fail_within(atomic_folder(target), "a")
    assert list(tmp_path.iterdir()) == []
    with atomic_folder(target) as temporary:
        (temporary / "a").write_text("one")
    with (
        pytest.raises(DataError, match=r"exists and is not empty\. .*--overwrite"),
        atomic_folder(target),
    ):
        pass
    with atomic_folder(target, overwrite=True) as temporary:
        (temporary / "b").write_text("two")
    assert [p.name for p in tmp_path.iterdir()] == ["run"]
    assert [p.name for p in target.iterdir()] == ["b"]


def test_a_failed_replacement_leaves_the_old_folder(tmp_path):
    target = tmp_path / "run"
    target.mkdir()
    (target / "a").write_text("old")
    with pytest.raises(RuntimeError):
        fail_within(atomic_folder(target, overwrite=True), "b")
    assert [p.name for p in target.iterdir()] == ["a"]


def test_a_file_in_the_place_of_a_folder_is_said(tmp_path):
    (tmp_path / "run").write_text("")
    with (
        pytest.raises(DataError, match="is a file; a folder was expected"),
        atomic_folder(tmp_path / "run"),
    ):
        pass
    with (
        pytest.raises(DataError, match="a part of that path is a file"),
        atomic_file(tmp_path / "run" / "a.txt"),
    ):
        pass


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.EACCES, "read-only"),
        (errno.EROFS, "read-only"),
        (errno.ENOSPC, "disk is full. Nothing half-written"),
        (errno.ENOTDIR, "a folder was expected"),
    ],
)
def test_what_a_user_can_mend_is_said(tmp_path, number, message):
    with pytest.raises(DataError, match=message):
        explain_os_error(OSError(number, "no"), tmp_path)


def test_other_failures_stay_what_they_are(tmp_path):
    with pytest.raises(OSError, match="bad disk"):
        explain_os_error(OSError(errno.EIO, "bad disk"), tmp_path)


def test_json_goes_both_ways(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"ä": [1, None]})
    assert read_json_object(path) == {"ä": [1, None]}
    assert json.loads(path.read_text(encoding="utf-8")) == {"ä": [1, None]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"x": float("nan")})
    assert read_json_object(path) == {"ä": [1, None]}


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"{", "not valid JSON"), (b"[1]", "no JSON object"), (b"\xff", "JSON")],
)
def test_damaged_json_is_said(tmp_path, content, message):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ArtifactError, match=message):
        read_json_object(tmp_path / "a.json")


def test_missing_json_is_said(tmp_path):
    with pytest.raises(ArtifactError, match="cannot be read: No such file"):
        read_json_object(tmp_path / "none.json")
