"""The benchmark scripts parse and run at toy size; their arithmetic is checked, their speed not."""

import importlib
import json
import mmap
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from benchmarks.__main__ import SCRIPTS, commands
from benchmarks.arithmetic import StepShape, floor_seconds, multiply_adds, products
from benchmarks.loading import LogSize, generate, load
from benchmarks.machine import describe_machine, gemm_rate
from benchmarks.memory import peak_mib, reset_peak, resident_mib
from benchmarks.molar import measure as measure_molar
from benchmarks.report import RESULTS, format_table, options_parser, result_path, write_result
from benchmarks.training_step import TOY, measure
from benchmarks.vlm2rec_world import bands
from benchmarks.vlm2rec_world import run as study_world

from vlmrec.evaluation.significance import Estimate
from vlmrec.pipeline.branch_study import StudyRow

ROOT = Path(__file__).resolve().parents[2]


STUDIES = ("vlm2rec_world", "vlm2rec_real", "vlm2rec_vectors")


@pytest.mark.parametrize("name", [*SCRIPTS, *STUDIES])
def test_script_explains_itself(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [f"benchmarks.{name}", "--help"])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"benchmarks.{name}").main()
    assert ended.value.code == 0
    assert f"benchmarks.{name}" in capsys.readouterr().out


def test_all_scripts_are_run_and_can_be_skipped() -> None:
    assert list(commands(quick=True, skipped=["peers"])) == list(SCRIPTS[:-1])
    files = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    assert set(SCRIPTS) <= files


def test_machine_is_described_without_its_name() -> None:
    found = describe_machine(threads=2)
    assert found["torch_threads"] == 2
    assert {"cpu", "cores", "torch", "date", "load_average"} <= set(found)
    assert gemm_rate(8, 8, 8, seconds=0.0) > 0


def test_peak_memory_sees_what_was_freed() -> None:
    reset_peak()
    before = resident_mib()
    # From the system itself, every page touched: the heap may have 64 MiB left to reuse.
    with mmap.mmap(-1, 64 << 20) as block:
        block.write(b"1" * (64 << 20))
    assert peak_mib() - before > 50


def test_multiply_adds_by_hand() -> None:
    shape = StepShape(
        rows=2, length=3, positions=5, items=7, dim=4, hidden=8, n_heads=2, n_layers=1
    )
    projections = 6 * 4 * 12 + 6 * 4 * 4
    attention = 2 * (2 * 2) * 3 * 3 * 2  # two products, rows x heads of them, head width 2
    feed_forward = 2 * 6 * 4 * 8
    assert multiply_adds(shape) == 3 * (projections + attention + feed_forward + 5 * 4 * 7)
    one_each = dict.fromkeys(products(shape), 1.0)
    assert floor_seconds(shape, one_each) == multiply_adds(shape)


def test_training_step_at_toy_size() -> None:
    found = measure({**TOY, "users": 32}, epochs=1, seconds=0.0)
    assert found["steps"] == 2
    assert found["ratio"] == pytest.approx(found["ms_per_step"] / found["floor_ms"])
    assert 0 <= found["padding"] < 1


def test_steps_of_molar_at_toy_size() -> None:
    rows = measure_molar(Namespace(data=None, quick=True))
    found = {row["variant"]: row for row in rows}
    assert {name.split(",")[0] for name in found} == {"stage 1", "stage 2"}
    assert len(found) == 9
    for row in rows:
        assert row["ratio"] == pytest.approx(row["step_s"] / found[row["against"]]["step_s"])
        assert row["epoch_s"] == pytest.approx(row["steps"] * row["step_s"])
        assert row["step_s"] > 0


def test_generated_log_loads(tmp_path: Path) -> None:
    generate(tmp_path / "raw", LogSize(events=2_000, users=50, items=30), "polars")
    times = pl.read_parquet(tmp_path / "raw" / "interactions.parquet")["timestamp"]
    assert times.is_sorted()
    found = load(tmp_path / "raw")
    assert (found["events"], found["items"]) == (2_000, 30)
    assert found["seconds"] >= 0


def test_table_aligns_and_shows_gaps() -> None:
    rows = [{"side": "a", "s": 1.5}, {"side": "bb", "s": None}]
    assert format_table(rows, ["side", "s"]) == "side     s\na     1.50\nbb       -"


def test_toy_results_never_replace_results(tmp_path: Path) -> None:
    parser = options_parser("loading", None)
    assert result_path("loading", parser.parse_args([])) == RESULTS / "loading.json"
    assert RESULTS not in result_path("loading", parser.parse_args(["--quick"])).parents
    out = tmp_path / "deep" / "x.json"
    assert result_path("loading", parser.parse_args(["--quick", "--out", str(out)])) == out
    write_result(out, {"rows": [1]})
    assert json.loads(out.read_text()) == {"rows": [1]}


def test_bands_are_judged_as_far_as_there_are_runs() -> None:
    def row(variant: str, **means: float) -> StudyRow:
        views = {name.replace("_", " "): mean for name, mean in means.items()}
        estimates = {name: Estimate(mean, mean, mean) for name, mean in views.items()}
        return StudyRow(variant, (0,), estimates, {}, {}, "", 0.0, 0.0)

    plain = row("InfoNCE", fused=0.25, image_branch=0.03, text_shuffled=0.02)
    alone = row("image alone", fused=0.2)
    mended = row("WPCL", fused=0.20, image_branch=0.13, text_shuffled=0.05)
    found = bands([plain, alone, mended])
    assert [round(one["found"], 3) for one in found] == [0.15, 0.03, 4.333, 2.5, 0.8]
    assert [one["held"] for one in found] == [True, True, True, True, False]
    assert [one["held"] for one in bands([plain, alone])] == [True, True]


def test_the_study_of_the_planted_world_runs_and_goes_on(tmp_path: Path, capsys) -> None:
    def study(*, table: bool) -> list[dict[str, Any]]:
        options = Namespace(runs=tmp_path, seeds=[1], only=None, quick=True, table=table)
        return study_world(options)["rows"]

    assert study(table=False) == study(table=True)
    assert "WPCL, seed 1 ..." in capsys.readouterr().out
