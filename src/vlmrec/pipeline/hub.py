"""Runs to and from a model hub, or a folder laid out like one of its repositories."""

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from vlmrec.core.errors import ArtifactError, ConfigError
from vlmrec.core.files import atomic_folder, refuse_existing
from vlmrec.pipeline.hub_folder import Pushed, read_hub_folder, write_hub_folder
from vlmrec.pipeline.run import Run

SCHEME = "hf://"
"""How a repository of the Hugging Face hub is told from a folder."""


def push(
    run: Run | str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    public: bool = False,
    message: str | None = None,
    overwrite: bool = False,
) -> Pushed:
    """Shares a run: everything it needs to recommend, a model card, and nothing about people.

    Args:
        run: A run folder, or a run that is stored.
        target: Folder to write; or ``hf://OWNER/NAME``, a repository of the hub, which is made
            where there is none. Whoever is logged in there writes.
        public: Whether a repository that is made can be read by all.
        message: Of the commit in the repository.
        overwrite: Replace a folder.

    Raises:
        ConfigError: The run is not stored, or the address is none.
        ArtifactError: The run folder is damaged, or the hub did not take it.
        DataError: The folder is taken, read-only or full.
    """
    folder = run.folder if isinstance(run, Run) else Path(run)
    if folder is None:
        raise ConfigError("The run is not stored, so there are no files to share.", "Save it.")
    if not str(target).startswith(SCHEME):
        if public or message is not None:
            raise ConfigError(
                f"'{target}' is a folder; 'public' and 'message' are about repositories.",
                f"Leave them out, or give {SCHEME}OWNER/NAME.",
            )
        with atomic_folder(Path(target), overwrite=overwrite) as temporary:
            return write_hub_folder(folder, temporary)
    name, revision = _repository(str(target))
    if revision is not None:
        raise ConfigError(
            f"'{target}' names a revision; runs are pushed to the main branch.", "Leave it out."
        )
    with tempfile.TemporaryDirectory() as temporary:
        done = write_hub_folder(folder, Path(temporary))
        with _explained(str(target), "written"):
            from huggingface_hub import HfApi

            api = HfApi()
            api.create_repo(name, private=not public, exist_ok=True)
            said = message or "Push a run of vlmrec"
            api.upload_folder(repo_id=name, folder_path=temporary, commit_message=said)
    return done


def pull(
    source: str | os.PathLike[str], out: str | os.PathLike[str], *, overwrite: bool = False
) -> Run:
    """Returns a run that was pushed, after its files were checked and stored.

    Args:
        source: Folder that `push` wrote, or ``hf://OWNER/NAME``, with ``@REVISION`` if it is
            not to be the latest.
        out: Run folder to write.
        overwrite: Replace it.

    Raises:
        ConfigError: The address is none.
        ArtifactError: The source is no pushed run, a file is missing or damaged, or the hub
            does not give it.
        DataError: The folder is taken, read-only or full.
    """
    target = Path(out)
    refuse_existing(target, overwrite=overwrite)
    place = _fetched(str(source)) if str(source).startswith(SCHEME) else Path(source)
    with atomic_folder(target, overwrite=overwrite) as temporary:
        read_hub_folder(place, temporary)
    return Run.load(target)


def _fetched(address: str) -> Path:
    name, revision = _repository(address)
    with _explained(address, "read"):
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(name, revision=revision))


def _repository(address: str) -> tuple[str, str | None]:
    """Returns the name and the revision, if any, in ``hf://OWNER/NAME@REVISION``."""
    name, _, revision = address.removeprefix(SCHEME).partition("@")
    parts = name.split("/")
    if len(parts) != 2 or not all(parts):
        raise ConfigError(
            f"'{address}' is no repository of the hub; expected {SCHEME}OWNER/NAME.",
            "Leave out what stands behind the name, or give a folder.",
        )
    return name, revision or None


@contextmanager
def _explained(address: str, done: str) -> Generator[None]:
    """Turns what the hub or the network refuses into an ArtifactError."""
    # The error of whichever HTTP client the package brings along.
    from huggingface_hub.errors import HTTPError  # pyright: ignore[reportPrivateImportUsage]

    try:
        yield
    except (HTTPError, OSError, ValueError, RuntimeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        offline = os.environ.get("HF_HUB_OFFLINE")
        note = "Offline mode is on (HF_HUB_OFFLINE). " if offline else ""
        raise ArtifactError(
            f"'{address}' cannot be {done}: {reason}",
            f"{note}Log in with 'hf auth login', or push to and pull from a folder.",
        ) from None
