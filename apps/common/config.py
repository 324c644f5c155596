"""A node's settings: defaults, then a TOML file, then `ANGARIUM_*`, then flags; each keeps its origin."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_args

import msgspec
from msgspec import Meta

from apps.common import values
from apps.common.exits import Exit, Failure
from apps.common.token import read_token
from apps.common.values import Address, Listen, Neighbour, Transport, did_you_mean, is_loopback

PREFIX = "ANGARIUM_"
OTHER_VARIABLES = frozenset({"ANGARIUM_CONFIG", "ANGARIUM_NO_UVLOOP", "ANGARIUM_REQUIRE_TOOLS", "ANGARIUM_FAULTS"})
"""Variables of that prefix that are no settings of a node."""
DAY = 86400


class DigestAlgorithm(StrEnum):
    """Which digest challenges a node sends (RFC 8760); with `both`, SHA-256 first."""

    MD5 = "md5"
    SHA_256 = "sha-256"
    BOTH = "both"


class Rung(StrEnum):
    """A way to find the home of a name; the ladder goes from one to the next."""

    LEARNED = "learned"
    SUMMARIES = "summaries"
    SEARCH = "search"


class LogFormat(StrEnum):
    """How a log line looks."""

    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """From which level on the program log keeps lines."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class ConfigError(Failure):
    """A mistake in the settings: where, which key, what is wrong, what to write instead."""

    def __init__(self, where: str, key: str, what: str) -> None:
        """Build `where: key: what`; each part is one line."""
        super().__init__(": ".join(part for part in (where, key, what) if part), code=Exit.CONFIG)


class NodeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of a node, checked; the descriptions are the flags' help."""

    name: Annotated[str, Meta(description="This node's name among its neighbours.")] = "a"
    listen: Annotated[
        tuple[Listen, ...],
        Meta(description="Where to listen, udp://HOST:PORT or tcp://HOST:PORT; port 0: any free."),
    ] = (Listen(Transport.UDP, "127.0.0.1", 5060), Listen(Transport.TCP, "127.0.0.1", 5060))
    data: Annotated[Path, Meta(description="Folder for all that must outlive the process.")] = Path("angarium-data")
    realm: Annotated[str, Meta(description="Realm of the network, fixed in the data folder at first use.")] = "angarium"
    open: Annotated[bool, Meta(description="Let anyone register and send; a user with a password still needs it.")] = (
        False
    )
    open_to_network: Annotated[bool, Meta(description="Allow open mode beyond this machine.")] = False
    supervise: Annotated[bool, Meta(description="Start the node again when it ends by a fault.")] = False
    admin: Annotated[Address | None, Meta(description="HOST:PORT of the admin interface, beside DIR/control.sock.")] = (
        None
    )
    admin_token_file: Annotated[
        Path | None, Meta(description="File with the token that the admin interface asks for over TCP.")
    ] = None
    store: Annotated[str, Meta(description="Where mail is kept: sqlite, memory, module:Class or file.py:Class.")] = (
        "sqlite"
    )
    client_manager: Annotated[str | None, Meta(description="Replacement of the actor for accounts and devices.")] = None
    server_manager: Annotated[str | None, Meta(description="Replacement of the actor for neighbours.")] = None
    router: Annotated[str | None, Meta(description="Replacement of the actor for routes.")] = None
    storage: Annotated[str | None, Meta(description="Replacement of the actor for storage.")] = None
    monitor: Annotated[str | None, Meta(description="Replacement of the actor for events and counters.")] = None
    sip_adapter: Annotated[str | None, Meta(description="Replacement of the actor for SIP itself.")] = None
    neighbour: Annotated[
        tuple[Neighbour, ...], Meta(description="A neighbouring server, NAME=tcp://HOST:PORT; may be given again.")
    ] = ()
    neighbour_secret_file: Annotated[
        Path | None, Meta(description="File with the secret that all servers of the network share.")
    ] = None
    link_address: Annotated[
        Listen | None, Meta(description="Where neighbours reach this server, if not at its first TCP address.")
    ] = None
    router_rungs: Annotated[
        tuple[Rung, ...], Meta(description="Ways to find a user's home, in this order: learned, summaries, search.")
    ] = (Rung.LEARNED, Rung.SUMMARIES, Rung.SEARCH)
    search_budget: Annotated[int, Meta(gt=0, description="Requests that one search for a user may cost.")] = 512
    message_life: Annotated[int, Meta(description="How long a message is kept; seconds, or 90s, 15m, 12h, 5d.")] = (
        5 * DAY
    )
    device_life: Annotated[int, Meta(description="After what silence a device is forgotten; seconds, or 12h, 30d.")] = (
        30 * DAY
    )
    max_body: Annotated[int, Meta(gt=0, description="Longest body taken, in bytes; beyond it 413.")] = 65_536
    max_pending: Annotated[
        int, Meta(gt=0, description="Messages that may wait for the store; beyond it 503 with Retry-After.")
    ] = 5_000
    watchdog: Annotated[
        float, Meta(ge=0, description="Seconds after which a hanging actor ends the process; 0: never.")
    ] = 5.0
    digest_algorithm: Annotated[
        DigestAlgorithm, Meta(description="Digest challenge: md5 (what most phones know), sha-256 or both.")
    ] = DigestAlgorithm.MD5
    log_level: Annotated[LogLevel, Meta(description="Level of the program log.")] = LogLevel.INFO
    debug_log: Annotated[bool, Meta(description="Also write a debug log, apart, in the log folder.")] = False
    log_format: Annotated[LogFormat, Meta(description="Log lines as text or as JSON.")] = LogFormat.TEXT
    log_dir: Annotated[Path | None, Meta(description="Folder of the log files; without it the data folder.")] = None


class Loaded(msgspec.Struct, frozen=True):
    """The settings and, for each key, where its value came from."""

    config: NodeConfig
    origins: Mapping[str, str]


class Given(msgspec.Struct, frozen=True):
    """A value as somebody wrote it."""

    value: object
    where: str
    text: bool
    """From a place that knows only text, so that `5` is a number and `true` a truth."""
    base: Path
    """What a relative path starts from."""


FIELDS = {field.name: field for field in msgspec.structs.fields(NodeConfig)}
REPLACEABLE = ("client_manager", "server_manager", "router", "storage", "monitor", "sip_adapter")


def description(key: str) -> str:
    """Return the sentence that explains a setting."""
    return next(str(meta.description) for meta in get_args(FIELDS[key].type) if isinstance(meta, Meta))


def load(
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Loaded:
    """Join the layers, the later one wins, and check the whole; raises ConfigError (exit code 78).

    `flags` holds values by key; None and empty lists count as not given. Without `file` the variable
    ANGARIUM_CONFIG names it, or there is none. Relative paths in the file start from the file's folder.
    """
    environ = {} if environ is None else environ
    if file is None and environ.get("ANGARIUM_CONFIG"):
        file = Path(environ["ANGARIUM_CONFIG"])
    given: dict[str, Given] = {}
    if file is not None:
        given |= from_file(file)
    given |= from_environment(environ)
    given |= from_flags(flags or {})
    config = NodeConfig(**{key: convert(key, item) for key, item in given.items()})
    origins = {key: given[key].where if key in given else "default" for key in FIELDS}
    check(config, origins)
    return Loaded(config, origins)


def from_file(file: Path) -> dict[str, Given]:
    """Read the TOML file's top-level keys."""
    where = f"file {file}"
    try:
        content = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(where, "", f"cannot be read, {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(where, "", f"is not TOML, {error}") from error
    for key in content:
        if key not in FIELDS:
            raise ConfigError(where, key, f"there is no such setting{did_you_mean(key, list(FIELDS))}")
    return {key: Given(value, where, text=False, base=file.parent) for key, value in content.items()}


def from_environment(environ: Mapping[str, str]) -> dict[str, Given]:
    """Read `ANGARIUM_NAME` and so on; a name that is nearly a setting's is taken as a slip of the pen."""
    given = {}
    names = {PREFIX + key.upper(): key for key in FIELDS}
    for variable, value in environ.items():
        if variable in names:
            where = f"environment {variable}"
            given[names[variable]] = Given(value, where, text=True, base=Path())
        elif variable.startswith(PREFIX) and variable not in OTHER_VARIABLES:
            near = get_close_matches(variable.removeprefix(PREFIX).lower(), FIELDS, n=1, cutoff=0.8)
            if near:
                hint = f"did you mean {PREFIX}{near[0].upper()}?"
                raise ConfigError(f"environment {variable}", "", f"there is no such setting; {hint}")
    return given


def from_flags(flags: Mapping[str, object]) -> dict[str, Given]:
    """Take the flags that were given."""
    given = {}
    for key, value in flags.items():
        if value is None or value == () or value == []:
            continue
        where = f"flag --{key.replace('_', '-')}"
        if key not in FIELDS:
            raise ConfigError(where, "", f"there is no such setting{did_you_mean(key, list(FIELDS))}")
        given[key] = Given(value, where, text=True, base=Path())
    return given


def convert(key: str, given: Given) -> Any:
    """Turn what somebody wrote into the setting's type, or say where and why not."""
    special = READERS.get(key)
    try:
        if special is not None:
            return special(given)
        return msgspec.convert(given.value, FIELDS[key].type, strict=not given.text)
    except ValueError as error:
        raise ConfigError(given.where, key, plain(str(error))) from error


def plain(reason: str) -> str:
    """Put msgspec's words into a person's: no back-quotes, Python's type names explained."""
    for name, word in (("`bool`", "true or false"), ("`int`", "a whole number"), ("`float`", "a number")):
        reason = reason.replace(name, word)
    return reason.replace("`str`", "text").replace("`array`", "a list").replace("`object`", "a table")


def text_of(given: Given) -> str:
    """Return the value if it is text."""
    if isinstance(given.value, str):
        return given.value
    raise ValueError(f"expected text, got {given.value!r}")


def read_listen(given: Given) -> tuple[Listen, ...]:
    """Read one or several URLs; in a variable they stand with commas between them."""
    value = given.value
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError('expected a list of URLs, for example ["udp://127.0.0.1:5060"]')
    for item in value:
        if not isinstance(item, str):
            raise ValueError(f"expected a URL as text, got {item!r}")
    found = tuple(values.listen(item) for item in value)
    for item in found:
        if item.port and found.count(item) > 1:
            raise ValueError(f"{item} stands there twice")
    return found


def read_neighbours(given: Given) -> tuple[Neighbour, ...]:
    """Read one or several `NAME=URL`; in a variable they stand with commas between them."""
    found = tuple(values.neighbour(item) for item in texts(given, '["b=tcp://127.0.0.1:5070"]'))
    names = [item.name for item in found]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name} stands there twice")
    return found


def read_rungs(given: Given) -> tuple[Rung, ...]:
    """Read the rungs of the ladder, in order."""
    found = tuple(values.choice(item.lower(), Rung) for item in texts(given, '["learned", "search"]'))
    if len(set(found)) < len(found):
        raise ValueError("one stands there twice")
    return found


def texts(given: Given, example: str) -> list[str]:
    """Return a list of texts; in a variable they stand with commas between them."""
    value = given.value
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
        return [part.strip() for item in value for part in item.split(",")]
    raise ValueError(f"expected a list of texts, for example {example}, got {value!r}")


def read_path(given: Given) -> Path:
    """Read a path; `~` is the home folder."""
    text = text_of(given) if not isinstance(given.value, Path) else str(given.value)
    if not text or "\0" in text:
        raise ValueError("expected a path")
    return given.base / Path(text).expanduser()


def one_of(kind: type[values.E]) -> Callable[[Given], values.E]:
    """Make a reader of an enumeration; upper and lower case are the same."""
    return lambda given: values.choice(text_of(given).lower(), kind)


READERS: dict[str, Callable[[Given], Any]] = {
    "name": lambda given: values.label(text_of(given)),
    "realm": lambda given: values.label(text_of(given)),
    "listen": read_listen,
    "data": read_path,
    "log_dir": read_path,
    "neighbour": read_neighbours,
    "neighbour_secret_file": read_path,
    "admin_token_file": read_path,
    "link_address": lambda given: values.listen(text_of(given)),
    "router_rungs": read_rungs,
    "admin": lambda given: values.address(text_of(given)),
    "message_life": lambda given: values.duration(given.value),
    "device_life": lambda given: values.duration(given.value),
    "digest_algorithm": one_of(DigestAlgorithm),
    "log_level": one_of(LogLevel),
    "log_format": one_of(LogFormat),
    **{key: lambda given: values.replacement(text_of(given)) for key in (*REPLACEABLE, "store")},
}


def check(config: NodeConfig, origins: Mapping[str, str]) -> None:
    """Check what no single value shows."""
    outside = [str(item) for item in config.listen if not item.loopback]
    if config.open and outside and not config.open_to_network:
        raise ConfigError(
            origins["open"],
            "open",
            f"anyone who reaches {outside[0]} could register as anyone; listen on 127.0.0.1, "
            "or say --open-to-network if that is what you want",
        )
    check_admin(config, origins)
    check_neighbours(config, origins)


def check_admin(config: NodeConfig, origins: Mapping[str, str]) -> None:
    """Check who may reach the admin interface, and that its token can be read."""
    file = config.admin_token_file
    if file is not None:
        try:
            read_token(file)
        except Failure as failure:
            raise ConfigError(origins["admin_token_file"], "admin_token_file", failure.message) from failure
    elif config.admin is not None and not is_loopback(config.admin.host):
        raise ConfigError(
            origins["admin"],
            "admin",
            f"{config.admin} is beyond this machine, and anyone there could do everything; "
            f"write 127.0.0.1:{config.admin.port}, or name a token with --admin-token-file",
        )


def check_neighbours(config: NodeConfig, origins: Mapping[str, str]) -> None:
    """Check who the neighbours are, and how they are proved."""
    secret = config.neighbour_secret_file
    if secret is not None:
        try:
            secret.open("rb").close()
        except OSError as error:
            raise ConfigError(
                origins["neighbour_secret_file"],
                "neighbour_secret_file",
                f"cannot read {secret}, {error.strerror or error}; make one with: angarium neighbour secret FILE",
            ) from error
    if not config.neighbour:
        return
    where = origins["neighbour"]
    try:
        values.node_name(config.name)
    except ValueError as error:
        raise ConfigError(origins["name"], "name", str(error)) from error
    if any(item.name == config.name for item in config.neighbour):
        raise ConfigError(
            where, "neighbour", f"{config.name} is this server's own name; give each server its own --name"
        )
    beyond = [str(item) for item in config.neighbour if not item.address.loopback]
    if beyond and config.neighbour_secret_file is None:
        raise ConfigError(
            where,
            "neighbour",
            f"{beyond[0]} is beyond this machine, and anyone there could pose as it; make a secret with "
            "'angarium neighbour secret FILE', copy it to all servers, and name it with --neighbour-secret-file",
        )
