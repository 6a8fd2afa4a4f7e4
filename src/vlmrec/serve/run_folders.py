"""The runs that may be served or compared with: folders in one folder, by name."""

from pathlib import Path

from vlmrec.bundle import RUN
from vlmrec.core.errors import ArtifactError, ConfigError


def run_folder(root: Path | None, name: str) -> Path:
    """Returns the folder of a run.

    Args:
        root: Where runs lie; None where no other may be served.
        name: Its folder's name; nothing that leads elsewhere.

    Raises:
        ConfigError: There is no such place, or the name leads out of it.
        ArtifactError: There is no such folder.
    """
    if root is None:
        raise ConfigError("This service swaps no runs.", "Start it with --runs FOLDER to let it.")
    folder = (root.resolve() / name).resolve()
    if folder.parent != root.resolve():
        raise ConfigError(f"'{name}' is no name of a run.", "Give the name of its folder.")
    if not folder.is_dir():
        raise ArtifactError(f"There is no run '{name}'.")
    return folder


def finished_runs(root: Path | None) -> list[str]:
    """Returns the names of the folders that hold a finished run."""
    return [] if root is None else sorted(path.parent.name for path in root.glob(f"*/{RUN}"))
