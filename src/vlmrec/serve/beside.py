"""Another run beside the one that is served, to compare what both would recommend."""

import threading

from vlmrec.serve.live import Live
from vlmrec.serve.run_folders import finished_runs
from vlmrec.serve.service import Service


class Beside:
    """Holds the run that was compared with last; it is loaded when it is first asked for.

    Args:
        service: Whose runs there are to choose from.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._loading = threading.Lock()
        self._held: tuple[str, Live] | None = None

    def names(self) -> list[str]:
        """Returns the folders of runs that may be compared with, or swapped in."""
        return finished_runs(self._service.options.runs)

    def live(self, name: str) -> Live:
        """Returns another run, with the items as they are now.

        Raises:
            ConfigError: There are no runs to choose from, or the name leads elsewhere.
            ArtifactError: There is no such run, or it is damaged.
        """
        with self._loading:
            if self._held is not None and self._held[0] != name:
                self._held = None  # at most two runs are in memory
            live = self._service.beside(name, None if self._held is None else self._held[1])
            self._held = (name, live)
        return live
