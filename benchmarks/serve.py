"""Lists over HTTP beside the bare call, the times at half of that load, and memory under a soak.

    python -m benchmarks.serve [--quick] [--work FOLDER] [--rounds N] [--soak SECONDS]

A run of SASRec (300,000 items x 256 numbers, see `benchmarks.serve_world`) is served by
`vlmrec serve` in a process of its own and asked over loopback for lists after histories of 50.

- bare: encoding and search in this library's own calls, as many together as the service takes
  (64), in another process. What HTTP costs is the share of its lists a second that the service
  reaches; the goal is half. Both are measured in turns of some seconds, and the median of the
  rounds counts, because machines are rarely idle. Sender and service share the cores.
- half: requests at a constant rate, half of what the service reached, due whether or not those
  before were answered; times count from when they were due. The goal: the slowest of a hundred
  takes no more than five times as long as the middle one, again in the median of the rounds.
- soak: that rate for so many seconds with everything a shop does, see `benchmarks.serve_soak`.
  The goal: no error, and memory that does not grow.

`cpu_ms` is processor time a list, and `cpu_share` how much of the service's goes to what the bare
call does as well: on a busy machine that says more than lists a second. `threads_ms` shares it out
over the event loop and the threads that compute.
"""

import json
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.machine import describe_machine
from benchmarks.report import format_table, options_parser, result_path, write_result
from benchmarks.serve_load import Traffic, as_fast_as_answered, at_rate
from benchmarks.serve_process import Served, serving
from benchmarks.serve_soak import Mix, post, soak
from benchmarks.serve_world import TOY, WorldSize, histories, make_run, make_twin, name_of
from vlmrec.core.files import read_json_object
from vlmrec.pipeline.indexing import FOLDER

BATCH, CONNECTIONS, K = 64, 128, 10
SHARE, KEPT, SPREAD = 0.5, 0.98, 5.0
"""What is to be reached: the share of the bare call; of the rate that is half of the highest, how
much was answered; and p99 as a multiple of the median there."""
COLUMNS = ("side", "threads", "per_s", "cpu_ms", "p50_ms", "p90_ms", "p99_ms", "max_ms", "errors")


def lists_after(size: WorldSize) -> Traffic:
    """Returns requests for lists after histories, all ready to be sent."""
    ready = [
        post("/recommend", {"history": [name_of(item) for item in row], "k": K})
        for row in histories(size).tolist()
    ]
    return lambda number: ready[number % len(ready)]


@contextmanager
def bare_calls(folder: Path, *, quick: bool) -> "Generator[subprocess.Popen[str]]":
    """Yields a process that measures bare calls when it is sent a number of seconds."""
    command = [sys.executable, "-m", "benchmarks.serve_bare", str(folder)]
    command += ["toy" if quick else "full", str(BATCH)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.terminate()


def bare(process: "subprocess.Popen[str]", seconds: float) -> dict[str, Any]:
    """Returns the figures of the bare call."""
    assert process.stdin is not None
    assert process.stdout is not None
    print(seconds, file=process.stdin, flush=True)
    return {"side": "bare", **json.loads(process.stdout.readline())}


def over_http(served: Served, traffic: Traffic, seconds: float) -> dict[str, Any]:
    """Returns the figures of the service, asked as fast as it answers."""
    before = served.seconds_by_thread()
    outcome = as_fast_as_answered(served.port, traffic, CONNECTIONS, seconds)
    return {"side": "http", **outcome.figures(), **_spent(served, before, len(outcome.times))}


def at_half(served: Served, traffic: Traffic, seconds: float, rate: float) -> dict[str, Any]:
    """Returns the figures of the service at a constant rate."""
    before = served.seconds_by_thread()
    outcome = at_rate(served.port, traffic, CONNECTIONS, seconds, rate)
    row = {"side": "half", "rate": rate, "sent_late_ms": 1000 * outcome.latest}
    return {**row, **outcome.figures(), **_spent(served, before, len(outcome.times))}


def measure(options: Namespace, work: Path) -> dict[str, Any]:
    """Returns all figures."""
    size = TOY if options.quick else WorldSize()
    seconds = 0.5 if options.quick else options.seconds
    runs = work / "runs"
    run = make_run(runs / "one", size)
    make_twin(run, runs / "two")
    record = read_json_object(runs / "one" / FOLDER / "index.json")
    traffic = lists_after(size)
    with (
        bare_calls(run.folder or runs, quick=options.quick) as calls,
        serving(runs / "one", work, {"batch": BATCH}) as served,
    ):
        over_http(served, traffic, seconds / 2)  # warms up
        bare(calls, seconds / 2)
        rounds: list[dict[str, Any]] = []
        for _ in range(options.rounds):
            sides = bare(calls, seconds), over_http(served, traffic, seconds)
            rounds.append({one["side"]: one for one in sides})
            print(format_table(sides, COLUMNS), flush=True)
        share = median(one["http"]["per_s"] / one["bare"]["per_s"] for one in rounds)
        rate = median(one["http"]["per_s"] for one in rounds) / 2
        calls.terminate()
        halves = [at_half(served, traffic, seconds, rate) for _ in range(options.rounds)]
        print(format_table(halves, COLUMNS), flush=True)
        result: dict[str, Any] = {
            "items": size.n_items,
            "width": size.dim,
            "history": size.length,
            "index": {name: record[name] for name in ("kind", "recall")},
            "rounds": rounds,
            "share": share,
            "cpu_share": median(one["bare"]["cpu_ms"] / one["http"]["cpu_ms"] for one in rounds),
            "halves": halves,
            "kept": median(one["per_s"] / one["rate"] for one in halves),
            "spread": median(one["p99_ms"] / one["p50_ms"] for one in halves),
        }
        if options.soak:
            names = [name_of(item) for item in range(1, size.n_items + 1)]
            every = min(30.0, options.soak / 12)
            mix = Mix(names, ("one", "two"), size.length, every=every)
            result["soak"] = soak(served, mix, rate, options.soak)
    return result


def _spent(served: Served, before: dict[str, float], lists: int) -> dict[str, Any]:
    after = served.seconds_by_thread()
    spent = {
        name: 1000 * (seconds - before.get(name, 0.0)) / max(1, lists)
        for name, seconds in after.items()
    }
    shown = {name: round(ms, 3) for name, ms in spent.items() if ms >= 0.005}
    return {"cpu_ms": sum(spent.values()), "threads_ms": shown}


def main() -> None:
    """Measures, prints tables, says what was reached, writes the result."""
    parser = options_parser("serve", __doc__)
    parser.add_argument("--work", type=Path, help="keeps the runs for the next time")
    parser.add_argument("--rounds", type=int, default=5, help="turns of either side")
    parser.add_argument("--seconds", type=float, default=5.0, help="of a turn")
    parser.add_argument("--soak", type=float, default=0.0, help="seconds, such as 3600")
    options = parser.parse_args()
    machine = describe_machine()
    with tempfile.TemporaryDirectory(prefix="vlmrec-serve-") as folder:
        work = folder if options.work is None else options.work
        result = measure(options, Path(work))
    # Where the rate is not kept, everybody waits equally long, and a small spread means nothing.
    goals = (("share", SHARE, True), ("kept", KEPT, True), ("spread", SPREAD, False))
    for name, goal, least in goals:
        held = result[name] >= goal if least else result[name] <= goal
        print(f"{name} {result[name]:.2f}, goal {goal}: {'held' if held else 'NOT HELD'}")
    if options.soak:
        print(f"soak: {result['soak']['verdict']}")
    write_result(result_path("serve", options), {"machine": machine, **result})


if __name__ == "__main__":
    main()
