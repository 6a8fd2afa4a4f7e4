"""A folder for copies that readers need for a while."""

import contextlib
import tempfile
from collections.abc import Generator
from pathlib import Path

from vlmrec.core.files import explain_os_error


@contextlib.contextmanager
def scratch_folder() -> Generator[Path]:
    """Yields a folder for rewritten copies; one that is full is the user's to mend."""
    folder = Path(tempfile.gettempdir())
    try:
        with tempfile.TemporaryDirectory(prefix="vlmrec-") as name:
            yield Path(name)
    except OSError as error:
        explain_os_error(error, folder)
