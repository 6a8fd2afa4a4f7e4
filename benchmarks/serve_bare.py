"""The bare call that a service is compared with: encode and search in this process, no HTTP.

    python -m benchmarks.serve_bare RUN toy|full BATCH

Each line of stdin is a number of seconds to go on for; each is answered with a line of JSON. Half
of the time goes to one thread and half to one for each core, and the faster counts: on idle cores
that is all of them, where others work on the machine as well it may be one, because threads that
wait for each other then mostly wait.
"""

import json
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from benchmarks.serve_world import TOY, WorldSize, histories, make_run
from vlmrec.index.search import Limits
from vlmrec.pipeline.indexing import load_index

K = 10


def main() -> None:
    """Loads the run and measures as often as it is asked."""
    folder, quick, batch = Path(sys.argv[1]), sys.argv[2] == "toy", int(sys.argv[3])
    size = TOY if quick else WorldSize()
    run = make_run(folder, size)
    ranker, index = run.ranker(), load_index(run).index
    people = torch.as_tensor(histories(size))

    @torch.inference_mode()
    def answer(first: int) -> None:
        read = people[first : first + batch]
        index.search(ranker.encode(read), K, Limits(excluded=read))

    answer(0)
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(_faster(answer, len(people), batch, float(line))), flush=True)


def _faster(answer: Any, n_people: int, batch: int, seconds: float) -> dict[str, float]:
    tried: list[dict[str, float]] = []
    counts = sorted({1, torch.get_num_threads()})
    for threads in counts:
        torch.set_num_threads(threads)
        if find_spec("faiss") is not None:
            import faiss

            faiss.omp_set_num_threads(threads)
        answer(0)
        tried.append(
            {"threads": threads, **_measured(answer, n_people, batch, seconds / len(counts))}
        )
    return max(tried, key=lambda one: one["per_s"])


def _measured(answer: Any, n_people: int, batch: int, seconds: float) -> dict[str, float]:
    start, busy, calls = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - start < seconds:
        answer(calls * batch % (n_people - batch + 1))
        calls += 1
    spent = time.perf_counter() - start
    lists = calls * batch
    return {"per_s": lists / spent, "cpu_ms": 1000 * (time.process_time() - busy) / lists}


if __name__ == "__main__":
    main()
