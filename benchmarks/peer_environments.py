"""Makes the environments that other libraries run in, apart from this project's own."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

TORCH = "torch==2.13.0"
FOLDER = Path.home() / ".cache" / "vlmrec-bench"


@dataclass(frozen=True)
class Peer:
    """Another library and what goes into its environment.

    Attributes:
        name: What the benchmark calls it.
        package: Requirement of the library itself, with its version.
        needs: Requirements that go with it.
        alone: Install the library without what it asks for, which `needs` then has to hold.
        check: Python statement that works where the environment is complete.
    """

    name: str
    package: str
    needs: tuple[str, ...]
    alone: bool
    check: str


RECTOOLS = Peer(
    "rectools",
    "rectools[torch]==0.19.0",
    (),
    False,
    "import rectools, torch, pytorch_lightning",
)
# RecBole asks for ray <= 2.6.3 (for tuning only), which has no wheel for current Pythons, and
# sets np.bool and the like itself, which numpy 2 no longer lets it do from names it knows.
RECBOLE = Peer(
    "recbole",
    "recbole==1.2.1",
    (
        "numpy==1.26.4",
        "pandas==2.3.3",
        "scipy==1.15.3",
        "scikit-learn==1.9.1",
        "tensorboard==2.21.0",
        "colorlog==4.7.2",
        "colorama==0.4.4",
        "psutil==7.2.2",
        "pyyaml==6.0.3",
        "texttable==1.7.2",
        "tqdm==4.70.1",
    ),
    True,
    "from recbole.trainer import Trainer",
)
PEERS = {peer.name: peer for peer in (RECTOOLS, RECBOLE)}


def peer_python(peer: Peer, folder: Path = FOLDER) -> Path:
    """Returns the interpreter of a peer's environment, which is made where it is missing.

    torch goes first and by exact version, and constrains the rest, so that every side runs on
    the same build of it. Only wheels are taken.

    Args:
        peer: Which library.
        folder: Where environments are or go, each in a folder of its own.
    """
    target = folder / peer.name
    python = target / "bin" / "python"
    if _works(python, peer):
        return python
    print(f"makes an environment for {peer.name} in {target} (some minutes)", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(target)], check=True)
    limits = target / "constraints.txt"
    limits.write_text(f"{TORCH}\n", encoding="ascii")
    pip = [str(python), "-m", "pip", "install", "--quiet", "--only-binary", ":all:"]
    subprocess.run([*pip, TORCH], check=True)
    pip += ["--constraint", str(limits)]
    if peer.needs:
        subprocess.run([*pip, *peer.needs], check=True)
    subprocess.run([*pip, *(["--no-deps"] if peer.alone else []), peer.package], check=True)
    return python


def _works(python: Path, peer: Peer) -> bool:
    if not python.exists():
        return False
    name, _, version = peer.package.partition("==")
    name = name.partition("[")[0]
    right = f"from importlib.metadata import version; assert version('{name}') == '{version}'"
    done = subprocess.run([str(python), "-c", f"{right}; {peer.check}"], capture_output=True)
    return done.returncode == 0
