"""Runs every benchmark of speed, one after the other: ``python -m benchmarks [--quick]``.

Studies of accuracy take an hour and are run by name: `vlm2rec_world`, `vlm2rec_real`,
`vlm2rec_vectors`, `new_items`, `two_catalogues`.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

SCRIPTS = (
    "evaluation",
    "indexes",
    "loading",
    "preparing",
    "training_step",
    "vlm",
    "vlm2rec",
    "molar",
    "vlm_cuda",
    "serve",
    "upserts",
    "peers",
)


def commands(*, quick: bool, skipped: list[str]) -> dict[str, list[str]]:
    """Returns the command line of each script.

    Args:
        quick: Toy sizes, results to a temporary folder.
        skipped: Scripts to leave out.
    """
    python = [sys.executable, "-m"]
    toy = {name: ["--quick"] for name in SCRIPTS}
    out = Path(tempfile.gettempdir()) / "vlmrec-benchmarks" / "evaluation.json"
    toy["evaluation"] = ["--sizes", "1000", "--users", "100", "--repeats", "1", "--out", str(out)]
    return {
        name: [*python, f"benchmarks.{name}", *(toy[name] if quick else [])]
        for name in SCRIPTS
        if name not in skipped
    }


def main() -> int:
    """Runs them and returns 1 when any failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="toy sizes, to see that all run")
    parser.add_argument("--skip", nargs="+", default=[], choices=SCRIPTS, help="leave these out")
    options = parser.parse_args()
    failed: list[str] = []
    for name, command in commands(quick=options.quick, skipped=options.skip).items():
        print(f"\n=== {name}", flush=True)
        if subprocess.run(command, cwd=Path(__file__).resolve().parents[1]).returncode:
            failed.append(name)
    if failed:
        print(f"\nfailed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
