"""What training writes down."""

from pathlib import Path

import pytest

from vlmrec.train.log import TrainingLog, read_lines


def test_an_epoch_is_a_line_and_resuming_forgets_later_ones(tmp_path: Path):
    log = TrainingLog(tmp_path, "model", quiet=True)
    for epoch in range(3):
        log.epoch({"epoch": epoch, "loss": 1.0 / (epoch + 1)}, "text")
    again = TrainingLog(tmp_path, "model", quiet=True)
    again.resume(2)
    assert [line["epoch"] for line in read_lines(tmp_path)] == [0, 1]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_files_are_written_when_asked_for(tmp_path: Path):
    log = TrainingLog(tmp_path, "model", quiet=True, tensorboard=True)
    log.epoch({"epoch": 0, "loss": 0.5}, "text")
    log.close()
    (events,) = (tmp_path / "tensorboard").iterdir()
    assert events.stat().st_size > 88  # more than a header: the loss is in it
    assert b"loss" in events.read_bytes()
