"""The logs: the program log on stderr and in a file, a debug log apart, both as text or as JSON lines.

Both can be changed while the node runs, and the newest lines are kept in memory. What comes from the network ends
up in log lines, so every control character in them is written as an escape: a message cannot end a line, forge the
next one, or drive the terminal that shows it. What is named like a secret is hidden.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from loguru import logger

from actors.state.debug_lines import DebugLog
from apps.common.config import LogFormat, LogLevel, NodeConfig
from apps.common.log_lines import HIDDEN, Heard, RecentLines, hide, is_secret, rank
from apps.common.output import printable, wants_colour

if TYPE_CHECKING:
    from loguru import Message, Record

PROGRAM_LOG = "angarium.log"
DEBUG_LOG = "angarium-debug.log"
ROTATION = "10 MB"
MAX_TEXT = 2_000
"""Characters of one message, field or line of a trace."""
RETENTION = 5
"""Old files kept of each log."""
LINE = ("at", "level", "place", "message", "trace")
"""What every line has, in JSON; the rest is bound to it."""
OWN = ("fields", "trace", "json", "label", "place", "detail")
"""What we put beside the fields that callers bind."""
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
    """The logs of this process; what they keep can be changed while it runs."""

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
        self._change = threading.Lock()
        self._program: list[int] = []
        self._debug_file: int | None = None
        self._level = level
        self._debug = False
        self.recent = RecentLines()
        self.details = DebugLog(write_detail)
        """The switch and writer of the actors' debug lines."""
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)
        logger.remove()
        logger.configure(patcher=tame)
        logger.add(self._keep, level="DEBUG", format="{message}", filter=self._wanted, diagnose=False)
        logging.basicConfig(handlers=[Intercept()], level=logging.INFO, force=True)
        for name in QUIET:
            logging.getLogger(name).setLevel(logging.WARNING)
        self.set_level(level)
        self.set_debug(debug)

    @property
    def level(self) -> LogLevel:
        """The program log's level."""
        return self._level

    @property
    def debug(self) -> bool:
        """Whether the debug log is written."""
        return self._debug

    def set_level(self, level: LogLevel) -> None:
        """Keep lines from this level on in the program log, from now on; OSError: all stays as it was."""
        with self._change:
            added = [self._add_stderr(level)]
            try:
                if self._directory is not None:
                    added.append(self._add_file(self._directory / PROGRAM_LOG, level))
            except OSError:
                logger.remove(added[0])
                raise
            old, self._program = self._program, added
            self._level = level
            # The new ones stand before the old ones go: a line may come twice, but none is lost.
            for handler in old:
                logger.remove(handler)
            self._switch()

    def set_debug(self, debug: bool) -> None:
        """Write a debug log, or no more, from now on; OSError: all stays as it was."""
        with self._change:
            if debug and self._debug_file is None and self._directory is not None:
                self._debug_file = self._add_file(self._directory / DEBUG_LOG, LogLevel.DEBUG)
            self._debug = debug
            self._switch()
            if not debug and self._debug_file is not None:
                logger.remove(self._debug_file)
                self._debug_file = None

    def subscribe(self, callback: Heard) -> Callable[[], None]:
        """Have each line told as it is kept in memory, in the thread that writes it; returns what ends that.

        The callback must not block, raise or log.
        """
        return self.recent.subscribe(callback)

    def _switch(self) -> None:
        """Have details made only while somebody keeps them: that is their whole cost otherwise."""
        details = self._debug or self._level is LogLevel.DEBUG
        logging.getLogger().setLevel(logging.DEBUG if details else logging.INFO)
        self.details.on = details

    def _wanted(self, record: Record) -> bool:
        return self._debug or record["level"].no >= rank(self._level)

    def _keep(self, message: Message) -> None:
        record = message.record
        line = summary(record)
        fields = {key: str(value) for key, value in line.items() if key not in LINE}
        if "trace" in line:
            fields["trace"] = "\n".join(line["trace"])
        self.recent.add(record["time"].timestamp(), line["level"], line["message"], line["place"], fields)

    def close(self) -> None:
        """Flush and let go of the files; logging goes back to stderr as it was before."""
        logger.remove()
        logger.configure(patcher=lambda _record: None)
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


def write_detail(place: str, text: str, message_id: str) -> None:
    """Write a debug line of an actor."""
    bound_to = {"message_id": message_id} if message_id else {}
    logger.bind(place=place, **bound_to).debug("{}", text)


def tame(record: Record) -> None:
    """Make a record's message, exception and fields safe to print; loguru calls it once a line."""
    record["message"] = safe(record["message"])
    fields = bound(record)
    place = record["extra"].get("place")
    record["extra"]["label"] = f"{place}: " if place else ""
    record["extra"]["fields"] = "".join(f" {key}={value}" for key, value in fields.items())
    record["extra"]["trace"] = "".join(f"\n    {line}" for line in trace(record))


def safe(text: str) -> str:
    """Return a text as a line may hold it: no control characters, no secrets, not too long."""
    if len(text) > MAX_TEXT:
        text = f"{text[:MAX_TEXT]}... ({len(text)} characters)"
    return printable(hide(text))


def bound(record: Record) -> dict[str, str]:
    """Return the fields that the caller bound to the line, safe to print."""
    extra = record["extra"]
    return {key: HIDDEN if is_secret(key) else safe(str(value)) for key, value in extra.items() if key not in OWN}


def trace(record: Record) -> list[str]:
    """Return the lines of the record's traceback, or of the one told with it; none shows the value of a variable."""
    error = record["exception"]
    text = record["extra"].get("detail", "") if error is None else "".join(traceback.format_exception(*error))
    return [safe(line) for line in text.splitlines()]


def summary(record: Record) -> dict[str, Any]:
    """Return what a JSON line holds: time, level, place and message, then the fields bound to the line."""
    line: dict[str, Any] = {
        "at": record["time"].isoformat(),
        "level": record["level"].name.lower(),
        "place": record["extra"].get("place") or f"{record['name']}:{record['line']}",
        "message": record["message"],
    }
    lines = trace(record)
    if lines:
        line["trace"] = lines
    return {**bound(record), **line}


def text_layout(_record: Record) -> str:
    """Lay a line out as text."""
    return "{time:YYYY-MM-DD HH:mm:ss.SSS} {level:<7} {extra[label]}{message}{extra[fields]}{extra[trace]}\n"


def coloured_layout(_record: Record) -> str:
    """Lay a line out as text for a terminal."""
    head = "<dim>{time:HH:mm:ss.SSS}</dim> <level>{level:<7}</level>"
    return head + " {extra[label]}{message}<dim>{extra[fields]}</dim>{extra[trace]}\n"


def json_layout(record: Record) -> str:
    """Lay a line out as one JSON object."""
    record["extra"]["json"] = msgspec.json.encode(summary(record), enc_hook=str).decode()
    return "{extra[json]}\n"
