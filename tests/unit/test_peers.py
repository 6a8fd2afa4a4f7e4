"""The comparison with other libraries: what is handed over, noted, ranked and concluded."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benchmarks import peers
from benchmarks.peer_comparison import Run, compare, read_run
from benchmarks.peer_data import arrays_of, toy_data, write_events
from benchmarks.peer_environments import PEERS
from benchmarks.workers.handover import flat_events, latest, targets_of_windows
from benchmarks.workers.ranks import mean_ndcg, target_ranks
from benchmarks.workers.run_log import RunLog
from benchmarks.workers.vlmrec_sasrec import run
from tests.reference.ranking_cases import TableRanker, make_cases

from vlmrec.data.dataset import Dataset
from vlmrec.evaluation.metrics import ndcg
from vlmrec.evaluation.ranking import rank_targets

OPTIONS: dict[str, Any] = {
    "dim": 16,
    "n_layers": 1,
    "n_heads": 2,
    "max_len": 8,
    "dropout": 0.0,
    "learning_rate": 3e-3,
    "batch_size": 16,
    "epochs": 3,
    "patience": 3,
    "max_seconds": None,
    "seed": 0,
    "threads": 1,
}


def small_world() -> dict[str, np.ndarray]:
    """Returns users a: 1 2 3 4, b: 2 1 4 3 5 in one store."""
    events = {"user_id": [*"aaaabbbbb"], "item_id": [*"123421435"], "timestamp": range(9)}
    frame = {name: list(values) for name, values in events.items()}
    return arrays_of(Dataset.from_frames(frame).leave_one_out())


def test_arrays_hold_our_split() -> None:
    arrays = small_world()
    users, items, places = flat_events(arrays, "test")
    assert users.tolist() == [1, 1, 1, 2, 2, 2, 2]
    assert items.tolist() == [1, 2, 3, 2, 1, 4, 3]
    assert places.tolist() == [0, 1, 2, 0, 1, 2, 3]
    assert arrays["test_targets"].tolist() == [4, 5]
    padded, lengths = latest(arrays, "test", 3)
    assert (padded.tolist(), lengths.tolist()) == ([[1, 2, 3], [1, 4, 3]], [3, 3])
    assert latest(arrays, "valid", 3)[0].tolist() == [[1, 2, 0], [2, 1, 4]]
    assert targets_of_windows(arrays, 50).tolist() == [1, 2]


def test_recbole_gets_every_event_once_and_in_order(tmp_path: Path) -> None:
    write_events(small_world(), tmp_path / "events")
    lines = (tmp_path / "events" / "events.inter").read_text().splitlines()
    assert lines[0] == "user_id:token\titem_id:token\ttimestamp:float"
    events = [(1, item) for item in (1, 2, 3, 4)] + [(2, item) for item in (2, 1, 4, 3, 5)]
    places = [0, 1, 2, 3, 0, 1, 2, 3, 4]
    expected = [f"{user}\t{item}\t{k}" for (user, item), k in zip(events, places, strict=True)]
    assert lines[1:] == expected


def test_a_user_whom_one_side_could_not_test_is_refused() -> None:
    frame = {"user_id": [*"aaabbbb"], "item_id": [*"1231234"], "timestamp": list(range(7))}
    with pytest.raises(ValueError, match="at least 4 events"):
        arrays_of(Dataset.from_frames(frame).leave_one_out())


def test_ranks_of_vectors_are_those_of_our_evaluation() -> None:
    rng = np.random.default_rng(0)
    queries = rng.integers(-2, 3, (60, 3)).astype(np.float32)
    vectors = rng.integers(-2, 3, (31, 3)).astype(np.float32)  # whole numbers: many ties
    bias = np.where(np.arange(31) == 7, -1e9, 0.0).astype(np.float32)
    targets = rng.integers(1, 31, 60)
    targets[0] = 7
    table = torch.zeros((61, 31))
    table[1:] = torch.as_tensor(queries @ vectors.T + bias)
    cases = make_cases([[row] for row in range(1, 61)], targets.tolist())
    expected = rank_targets(TableRanker(table), cases)
    found = target_ranks(queries, vectors, bias, targets)
    assert found.tolist() == expected.ranks.tolist()
    assert (expected.ties > 0).sum() > 30
    assert found[0] == 30
    assert mean_ndcg(found) == pytest.approx(ndcg(found, 10).mean())


@pytest.mark.parametrize(
    ("options", "values", "reason"),
    [
        ({"epochs": 9, "patience": 2}, [0.2, 0.5, 0.4, 0.3], "patience"),
        ({"epochs": 2, "patience": 2}, [0.2, 0.5], "epochs"),
        ({"epochs": 9, "patience": 2, "max_seconds": 0.0}, [0.2], "seconds"),
    ],
)
def test_a_run_stops_by_the_same_rule_everywhere(
    options: dict[str, Any], values: list[float], reason: str, tmp_path: Path
) -> None:
    log = RunLog("any", options, tmp_path)
    log.begin()
    for epoch, value in enumerate(values):
        assert not log.stopped
        log.go()
        log.end_epoch()
        ranks = np.where(np.arange(100) < 100 * value, 1.0, 99.0)
        log.validated(ranks, ranks + epoch)
    assert log.stopped == reason
    assert log.evaluate(lambda: "done")[1] == "done"
    log.write(fact=1)
    stored = read_run("any", 0, tmp_path)
    best = int(np.argmax(values))
    assert stored.record["valid"] == pytest.approx(values)
    assert (stored.record["best_epoch"], stored.record["fact"]) == (best + 1, 1)
    assert stored.ranks["test"].min() == 1 + best


def test_a_run_that_was_ended_from_outside_goes_on(tmp_path: Path) -> None:
    options = {"epochs": 4, "patience": 4}
    values = [0.2, 0.5, 0.4, 0.3]

    def one_epoch(log: RunLog, epoch: int) -> None:
        log.go()
        log.end_epoch()
        ranks = np.where(np.arange(100) < 100 * values[epoch], 1.0, 99.0)
        log.validated(ranks, ranks + epoch)

    first = RunLog("any", options, tmp_path)
    first.begin()
    assert first.go_on() is None
    for epoch in range(3):
        one_epoch(first, epoch)
        first.keep(lambda path, epoch=epoch: path.write_text(str(epoch)))
    (tmp_path / "half-progress.npz").write_bytes(b"ended while it was written")
    (tmp_path / "checkpoint-4.pt").write_bytes(b"so was this")
    second = RunLog("any", options, tmp_path)
    second.begin()
    kept = second.go_on()
    assert kept is not None
    assert kept.read_text() == "2"
    assert len(list(tmp_path.glob("checkpoint-*"))) == 2  # that, and the one of the ended epoch
    assert (second.seconds, second.valid) == (first.seconds, first.valid)
    one_epoch(second, 3)
    assert second.stopped == "epochs"
    assert second.seconds[-1] > first.seconds[-1]
    second.write()
    stored = read_run("any", 0, tmp_path)
    assert stored.record["valid"] == pytest.approx(values)
    assert stored.record["wall_seconds"] >= stored.record["training_seconds"][-1]
    assert stored.ranks["test"].min() == 2
    assert not list(tmp_path.glob("progress*"))
    assert stored.ranks["last_test"].min() == len(values)
    assert stored.record["peak_mib"] >= stored.record["peak_training_mib"] > 0


def test_our_side_learns_and_is_timed_apart_from_validation(tmp_path: Path) -> None:
    run(toy_data().arrays, OPTIONS, tmp_path)
    found = read_run("vlmrec", 0, tmp_path)
    valid, seconds = found.record["valid"], found.record["training_seconds"]
    assert len(seconds) == len(valid) == 3
    assert np.all(np.diff(seconds) > 0)
    assert seconds[-1] < found.record["wall_seconds"]
    assert valid[-1] > valid[0]
    assert ndcg(found.ranks["valid"], 10).mean() == pytest.approx(max(valid))
    assert found.record["targets_per_epoch"] == 80 * 9
    run(toy_data().arrays, {**OPTIONS, "max_seconds": 0.0}, tmp_path)
    assert read_run("vlmrec", 0, tmp_path).record["stopped"] == "seconds"


def fake(side: str, valid: list[float], step: float, ranks: list[float], **more: Any) -> Run:
    """Returns a run whose epochs take `step` seconds each."""
    record: dict[str, Any] = dict.fromkeys(("loss", "parameters", "known_items", "hidden"), 1)
    record |= dict.fromkeys(("steps_per_epoch", "targets_per_epoch", "torch", "threads"), 1)
    phases = ("baseline_mib", "peak_preparation_mib", "peak_evaluation_mib", "wall_seconds")
    record |= dict.fromkeys(phases, 1.0)
    record |= {"batch": "", "stopped": "epochs", "best_epoch": 1, "preparation_seconds": 1.0}
    record |= {"valid": valid, "training_seconds": [step * (i + 1) for i in range(len(valid))]}
    record |= {"evaluation_seconds": step, "peak_mib": 10.0, "peak_training_mib": 10.0, **more}
    found = np.array(ranks)
    return Run(side, 3, record, {"valid": found, "test": found, "last_test": found})


def test_comparison_takes_the_time_to_the_value_that_all_reach() -> None:
    ours = fake("vlmrec", [0.1, 0.5, 0.6], 1.0, [2.0, 2.0])
    rectools = fake("rectools", [0.39, 0.55, 0.2], 4.0, [2.0, 3.0])
    recbole = fake("recbole", [0.3, 0.4], 50.0, [1.0, 1.0], peak_mib=9.0)
    recbole.record["own_metrics"] = {"NDCG@10": 0.75, "MRR@10": 1.0}
    found = compare([ours, rectools, recbole])
    rows = {row["side"]: row for row in found["rows"]}
    assert {row["target_valid"] for row in found["rows"]} == {0.4}
    assert [rows[side]["s_to_target"] for side in rows] == [2.0, 8.0, 100.0]
    assert [rows[side]["s_to_near"] for side in rows] == [2.0, 4.0, 100.0]
    assert rows["recbole"]["metric_difference"] == pytest.approx(0.25)
    assert rows["vlmrec"]["metric_difference"] is None
    first, second = found["against"]
    assert first["time_ratio_at_target_of_the_pair"] == pytest.approx(3 / 8)
    held = [[goal["held"] for goal in one["goals"]] for one in (first, second)]
    assert held == [[True, True, True, True], [True, True, False, False]]
    assert second["goals"][0]["found"] == pytest.approx(0.02)
    assert second["test_difference"]["mean"] == pytest.approx(1 / np.log2(3) - 1)
    assert compare([rectools])["against"] == []


def test_finished_runs_are_taken_as_they_are_only_if_asked_alike(tmp_path: Path) -> None:
    run(toy_data().arrays, {**OPTIONS, "epochs": 1}, tmp_path)
    (tmp_path / "options.json").write_text(json.dumps(OPTIONS))
    nothing = tmp_path / "no-python"
    asked = {**OPTIONS, "max_seconds": 5.0}
    stored = peers.run_side("vlmrec", nothing, nothing, asked, tmp_path, resume=True)
    assert len(stored.record["valid"]) == 1
    assert not peers.is_finished(OPTIONS, nothing)
    for settings, resume in (({**OPTIONS, "dim": 8}, True), (OPTIONS, False)):
        with pytest.raises(FileNotFoundError):
            peers.run_side("vlmrec", nothing, nothing, settings, tmp_path, resume=resume)


def test_peers_are_pinned() -> None:
    assert {name: peer.package for name, peer in PEERS.items()} == {
        "rectools": "rectools[torch]==0.19.0",
        "recbole": "recbole==1.2.1",
    }
    assert all("==" in need for peer in PEERS.values() for need in peer.needs)
