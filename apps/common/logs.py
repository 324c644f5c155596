"""The logs: the program log on stderr and in a file, a debug log apart, both as text or as JSON lines.

What comes from the network ends up in log lines, so every control character in them is written as an escape:
a message cannot end a line, forge the next one, or drive the terminal that shows it.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from loguru import logger

from apps.common.config import LogFormat, LogLevel, NodeConfig
from apps.common.output import printable, wants_colour

if TYPE_CHECKING:
    from loguru import Record

PROGRAM_LOG = "angarium.log"
DEBUG_LOG = "angarium-debug.log"
ROTATION = "10 MB"
RETENTION = 5
"""Old files kept of each log."""
QUIET = ("aiohttp.access", "asyncio")
"""Loggers of libraries that say too much below WARNING."""


class Intercept(logging.Handler):
    """Hands the records of the standard library's logging (Pykka, aiohttp) to loguru."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass one record on, under its logger's name."""
        level: str | int = record.levelname if record.levelname in KNOWN_LEVELS else record.levelno
        message = record.getMessage()
        logger.bind(logger=record.name).opt(exception=record.exc_info).log(level, "{}", message)


KNOWN_LEVELS = frozenset({"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"})


class Logs:
    """The handlers of this process; `set_level` changes the program log's level while it runs."""

    def __init__(
        self,
        *,
        level: LogLevel = LogLevel.INFO,
        format: LogFormat = LogFormat.TEXT,
        directory: Path | None = None,
        debug: bool = False,
    ) -> None:
        """Take over loguru and logging; without a directory only stderr is written; OSError if it fails."""
        self._format = format
        self._directory = directory
        self._program: list[int] = []
        self._level = level
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)
        logger.remove()
        logger.configure(patcher=tame)
        self.set_level(level)
        if debug and directory is not None:
            self._add_file(directory / DEBUG_LOG, LogLevel.DEBUG)
        logging.basicConfig(handlers=[Intercept()], level=logging.DEBUG if debug else logging.INFO, force=True)
        for name in QUIET:
            logging.getLogger(name).setLevel(logging.WARNING)

    @property
    def level(self) -> LogLevel:
        """The program log's level."""
        return self._level

    def set_level(self, level: LogLevel) -> None:
        """Keep lines from this level on, from now on."""
        old = self._program
        self._program = [self._add_stderr(level)]
        if self._directory is not None:
            self._program.append(self._add_file(self._directory / PROGRAM_LOG, level))
        self._level = level
        # The new ones stand before the old ones go: a line may come twice, but none is lost.
        for handler in old:
            logger.remove(handler)

    def close(self) -> None:
        """Flush and let go of the files; logging goes back to stderr as it was before."""
        logger.remove()
        logger.configure(patcher=None)
        logger.add(sys.stderr, level="WARNING")
        logging.basicConfig(handlers=[logging.StreamHandler()], level=logging.WARNING, force=True)

    def _add_stderr(self, level: LogLevel) -> int:
        colour = wants_colour(sys.stderr) and self._format is LogFormat.TEXT
        return logger.add(sys.stderr, level=level.upper(), format=self._layout(colour), colorize=colour, diagnose=False)

    def _add_file(self, path: Path, level: LogLevel) -> int:
        return logger.add(
            path,
            level=level.upper(),
            format=self._layout(colour=False),
            colorize=False,
            rotation=ROTATION,
            retention=RETENTION,
            encoding="utf-8",
            # Values of variables may be passwords: no traceback of ours shows them.
            diagnose=False,
        )

    def _layout(self, colour: bool) -> Callable[[Record], str]:
        if self._format is LogFormat.JSON:
            return json_layout
        return coloured_layout if colour else text_layout


def setup(config: NodeConfig) -> Logs:
    """Start the logs that the settings ask for; the files are in `log_dir`, else in the data folder."""
    return Logs(
        level=config.log_level,
        format=config.log_format,
        directory=config.log_dir or config.data,
        debug=config.debug_log,
    )


def tame(record: Record) -> None:
    """Make a record's message, exception and fields safe to print; loguru calls it once a line."""
    record["message"] = printable(record["message"])
    fields = bound(record)
    record["extra"]["fields"] = "".join(f" {key}={printable(str(value))}" for key, value in fields.items())
    record["extra"]["trace"] = "".join(f"\n    {line}" for line in trace(record))


def bound(record: Record) -> dict[str, Any]:
    """Return the fields that the caller bound to the line."""
    return {key: value for key, value in record["extra"].items() if key not in ("fields", "trace", "json")}


def trace(record: Record) -> list[str]:
    """Return the lines of the record's traceback; none shows the value of a variable."""
    error = record["exception"]
    if error is None:
        return []
    return [printable(line) for line in "".join(traceback.format_exception(*error)).splitlines()]


def summary(record: Record) -> dict[str, Any]:
    """Return what a JSON line holds: time, level, place and message, then the fields bound to the line."""
    line: dict[str, Any] = {
        "at": record["time"].isoformat(),
        "level": record["level"].name.lower(),
        "place": f"{record['name']}:{record['line']}",
        "message": record["message"],
    }
    lines = trace(record)
    if lines:
        line["trace"] = lines
    return {**bound(record), **line}


def text_layout(_record: Record) -> str:
    """Lay a line out as text."""
    return "{time:YYYY-MM-DD HH:mm:ss.SSS} {level:<7} {message}{extra[fields]}{extra[trace]}\n"


def coloured_layout(_record: Record) -> str:
    """Lay a line out as text for a terminal."""
    return (
        "<dim>{time:HH:mm:ss.SSS}</dim> <level>{level:<7}</level> {message}<dim>{extra[fields]}</dim>{extra[trace]}\n"
    )


def json_layout(record: Record) -> str:
    """Lay a line out as one JSON object."""
    record["extra"]["json"] = msgspec.json.encode(summary(record), enc_hook=str).decode()
    return "{extra[json]}\n"
