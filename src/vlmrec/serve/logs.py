"""Logs as one JSON object a line: machines read them, people can."""

import json
import logging
import sys
from datetime import UTC, datetime


class Facts(dict[str, object]):
    """A message that is an object; other formatters than ours write it as JSON, too."""

    def __str__(self) -> str:
        """Returns the object as JSON."""
        return json.dumps(self)


class JsonLines(logging.Formatter):
    """Writes each record as a JSON object; a message that is one is taken apart."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line of a record."""
        facts: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "log": record.name,
        }
        inner = record.msg if isinstance(record.msg, Facts) else _taken_apart(record.getMessage())
        facts |= inner if isinstance(inner, dict) else {"message": inner}
        if record.exc_info:
            facts["trace"] = self.formatException(record.exc_info)
        return json.dumps(facts)


def _taken_apart(message: str) -> object:
    try:
        return json.loads(message)
    except ValueError:
        return message


def log_to_stderr(level: int = logging.INFO) -> None:
    """Sends all logs to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
