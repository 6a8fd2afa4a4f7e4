"""Makes the environment that RecTools runs in, apart from this project's own."""

import subprocess
import sys
from pathlib import Path

TORCH = "torch==2.13.0"
RECTOOLS = "rectools[torch]==0.19.0"
DEFAULT = Path.home() / ".cache" / "vlmrec-bench" / "rectools"
_CHECK = "import rectools, torch, pytorch_lightning; print(rectools.__version__)"


def rectools_python(folder: Path = DEFAULT) -> Path:
    """Returns the interpreter of an environment with RecTools, which is made where it is missing.

    torch goes first and by exact version, and constrains the rest, so that RecTools runs on the
    same build of it as this project. Only wheels are taken.

    Args:
        folder: Where the environment is or goes.
    """
    python = folder / "bin" / "python"
    if _works(python):
        return python
    print(f"makes an environment for RecTools in {folder} (some minutes)", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    limits = folder / "constraints.txt"
    limits.write_text(f"{TORCH}\n", encoding="ascii")
    pip = [str(python), "-m", "pip", "install", "--quiet", "--only-binary", ":all:"]
    subprocess.run([*pip, TORCH], check=True)
    subprocess.run([*pip, "--constraint", str(limits), RECTOOLS], check=True)
    return python


def _works(python: Path) -> bool:
    if not python.exists():
        return False
    return subprocess.run([str(python), "-c", _CHECK], capture_output=True).returncode == 0
