"""The admin interface's paths about the logs: the newest lines, and what is kept from now on."""

from __future__ import annotations

from aiohttp import web
from loguru import logger

from actors.model import Value
from apps.common.config import LogLevel
from apps.common.log_lines import RECENT, LogLine
from apps.common.logs import Logs
from apps.node.admin_guard import ApiError, json_reply, number, read_body
from apps.node.admin_routes import Parameter, Route

MAX_TEXT = 200
"""Characters that may be looked for."""


class LogLines(Value, frozen=True):
    """Lines of the log, oldest first."""

    lines: tuple[LogLine, ...]
    newest: int
    """Number of the newest line of all; lower than one seen before: the node has started again."""


class LogSettings(Value, frozen=True):
    """What the logs keep."""

    level: LogLevel
    """Of the program log."""
    debug: bool
    """Whether the debug log is written."""


class LogChange(Value, frozen=True):
    """What the logs are to keep from now on; what is left out stays."""

    level: LogLevel | None = None
    debug: bool | None = None


class LogsApi:
    """The handlers; the change of a level needs no restart, and is gone after one."""

    def __init__(self, logs: Logs) -> None:
        """Take the logs of this process."""
        self._logs = logs

    def routes(self) -> tuple[Route, ...]:
        """Name the paths."""
        return (
            Route(
                "GET",
                "/v1/log",
                self.lines,
                "Give the newest lines of the log, oldest first.",
                LogLines,
                parameters=(
                    Parameter("limit", f"Lines in the answer, {2 * RECENT} at most.", int, 100),
                    Parameter("level", "Lines of this level or above: debug, info, warning or error.", str, "debug"),
                    Parameter("contains", "Lines with this text in them or their fields, in any case."),
                    Parameter("after", "Lines with a higher number.", int, 0),
                ),
                errors=((400, "there is no such level, or the text is too long"),),
            ),
            Route("GET", "/v1/log-level", self.settings, "Tell what the logs keep.", LogSettings),
            Route(
                "PUT",
                "/v1/log-level",
                self.change,
                "Change what the logs keep, until the node ends.",
                LogSettings,
                takes=LogChange,
                errors=((400, "there is no such level"), (503, "the log's file cannot be written")),
            ),
        )

    async def lines(self, request: web.Request) -> web.Response:
        """Give the newest lines of the log, oldest first."""
        level = request.query.get("level", LogLevel.DEBUG)
        if level not in tuple(LogLevel):
            raise ApiError(400, "bad-data", f"level is one of {', '.join(LogLevel)}")
        contains = request.query.get("contains", "")
        if len(contains) > MAX_TEXT:
            raise ApiError(400, "bad-data", f"contains has {MAX_TEXT} characters at most")
        recent = self._logs.recent
        lines = recent.read(
            limit=number(request, "limit", 100, 2 * RECENT),
            level=level,
            contains=contains,
            after=number(request, "after", 0, 10**18),
        )
        return json_reply(LogLines(tuple(lines), recent.newest))

    async def settings(self, _request: web.Request) -> web.Response:
        """Tell what the logs keep."""
        return json_reply(LogSettings(self._logs.level, self._logs.debug))

    async def change(self, request: web.Request) -> web.Response:
        """Change what the logs keep, until the node ends."""
        wanted = await read_body(request, LogChange)
        try:
            if wanted.level is not None:
                self._logs.set_level(wanted.level)
            if wanted.debug is not None:
                self._logs.set_debug(wanted.debug)
        except OSError as error:
            raise ApiError(503, "failed", f"the log's file cannot be written: {error.strerror}") from None
        settings = LogSettings(self._logs.level, self._logs.debug)
        debug = "on" if settings.debug else "off"
        logger.info("the program log keeps {} and above, the debug log is {}", settings.level.value, debug)
        return json_reply(settings)
