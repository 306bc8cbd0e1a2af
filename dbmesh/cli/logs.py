"""The log of a server on stderr: lines for people, or JSON objects for programs.

Decides the form of a line and the names of its fields. What is logged, and that no secret is in it, is decided where it happens.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

TEXT, JSON = "text", "json"
"""The forms of a log."""

LEVELS = {
    "OFF": logging.CRITICAL + 1,
    "ERROR": logging.ERROR,
    "WARN": logging.WARNING,
    "INFO": logging.INFO,
    "DEBUG": logging.DEBUG,
    "TRACE": logging.NOTSET + 1,
}
"""ShardingSphere's names of levels."""

_PACKAGE = "dbmesh."
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What every record has; the rest are fields that whoever logged gave it."""


class JsonFormatter(logging.Formatter):
    """One JSON object per line: `time` (UTC, milliseconds), `level`, `logger`, `message`, the fields of the event, and `error`, a traceback where
    there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        told: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name.removeprefix(_PACKAGE),
            "message": record.getMessage(),
        }
        told.update((name, value) for name, value in vars(record).items() if name not in _OWN)
        if record.exc_info:
            told["error"] = self.formatException(record.exc_info)
        # Whatever bytes a text held, the line is UTF-8.
        line = json.dumps(told, ensure_ascii=False, default=str)
        return line.encode("utf-8", "backslashreplace").decode()


def log_to_stderr(form: str, level: str) -> None:
    """From now on write what is logged: `form` is TEXT or JSON, `level` a key of LEVELS."""
    handler = logging.StreamHandler(sys.stderr)
    plain = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    handler.setFormatter(JsonFormatter() if form == JSON else plain)
    logging.basicConfig(level=LEVELS[level], handlers=[handler])
