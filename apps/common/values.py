"""Readers of single settings: what was written in, a checked value out, `ValueError` with a reason else."""

from __future__ import annotations

import re
from difflib import get_close_matches
from enum import StrEnum
from ipaddress import ip_address
from typing import TypeVar

import msgspec

SIP_PORT = 5060
"""Where SIP listens when nothing else is said (RFC 3261 19.1.2)."""
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
NODE_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,30}[A-Za-z0-9])?")
REPLACEMENT = re.compile(r"[^:]+:[A-Za-z_]\w*|[A-Za-z0-9_.-]+")


E = TypeVar("E", bound=StrEnum)


class Transport(StrEnum):
    """What SIP travels over."""

    UDP = "udp"
    TCP = "tcp"


class Listen(msgspec.Struct, frozen=True):
    """An address to listen at; port 0 lets the system choose a free one."""

    transport: Transport
    host: str
    """Name or address, IPv6 without brackets."""
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.transport}://{host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)


class Address(msgspec.Struct, frozen=True):
    """A host and a TCP port, as the admin interface listens at."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Neighbour(msgspec.Struct, frozen=True):
    """Another server, by its name and the address at which it takes links."""

    name: str
    address: Listen

    def __str__(self) -> str:
        return f"{self.name}={self.address}"


def is_loopback(host: str) -> bool:
    """Tell whether the host is this machine's own: `localhost`, 127.0.0.0/8 or ::1."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def listen(text: str) -> Listen:
    """Read `udp://HOST:PORT` or `tcp://HOST:PORT`; without a port it is 5060."""
    scheme, mark, rest = text.partition("://")
    if not mark:
        raise ValueError(f"{text!r} has no transport; write for example udp://{text or '127.0.0.1:5060'}")
    transport = choice(scheme.lower(), Transport)
    if not rest:
        raise ValueError(f"{text!r} has no host; write for example {scheme}://127.0.0.1:5060")
    host, port = host_port(rest, default=SIP_PORT)
    return Listen(transport, host, port)


def neighbour(text: str) -> Neighbour:
    """Read `NAME=tcp://HOST:PORT`, or `udp://`."""
    name, mark, url = text.partition("=")
    if not mark:
        raise ValueError(f"{text!r} is not NAME=URL; write for example b=tcp://127.0.0.1:5070")
    place = listen(url.strip())
    if place.port == 0:
        raise ValueError(f"{text!r} has port 0, where nobody listens; write the port of that server")
    return Neighbour(node_name(name.strip()), place)


def node_name(text: str) -> str:
    """Read the name of a server: it stands in headers of messages, so it is short."""
    if NODE_NAME.fullmatch(text) is None:
        raise ValueError(
            f"{text!r} is no name of a server; use up to 32 letters, digits, dots, hyphens and underscores"
        )
    return text


def address(text: str) -> Address:
    """Read `HOST:PORT`."""
    return Address(*host_port(text, default=None))


def host_port(text: str, *, default: int | None) -> tuple[str, int]:
    """Split `HOST:PORT` or `[IPV6]:PORT`; without a port the default, or an error if there is none."""
    match = re.fullmatch(r"(?:\[(?P<v6>[^\]]*)\]|(?P<name>[^:\[\]/?#@\s]*))(?::(?P<port>[^:]*))?", text)
    if match is None:
        hint = f"; write an IPv6 address in brackets: [{text}]" if text.count(":") > 1 else ""
        raise ValueError(f"{text!r} is not HOST:PORT{hint}")
    host = match["v6"] if match["v6"] is not None else match["name"]
    if not host:
        raise ValueError(f"{text!r} has no host; write 127.0.0.1 for this machine only, 0.0.0.0 for all interfaces")
    if match["v6"] is not None and not is_ipv6(host):
        raise ValueError(f"{host!r} is no IPv6 address")
    if re.fullmatch(r"[\d.]+", host) and not is_ipv4(host):
        raise ValueError(f"{host!r} is no IPv4 address")
    if match["port"] is None:
        if default is None:
            raise ValueError(f"{text!r} has no port; write for example {text}:8060")
        return host, default
    return host, port_number(match["port"])


def port_number(text: str) -> int:
    """Read a port, 0 to 65535; 0 means any free one."""
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > 65535:
        raise ValueError(f"port {text!r} is not a number from 0 to 65535")
    return int(text)


def is_ipv4(text: str) -> bool:
    """Tell whether the text is an IPv4 address."""
    try:
        return ip_address(text).version == 4
    except ValueError:
        return False


def is_ipv6(text: str) -> bool:
    """Tell whether the text is an IPv6 address."""
    try:
        return ip_address(text).version == 6
    except ValueError:
        return False


def duration(value: object) -> int:
    """Read seconds: a whole number, or text such as `90s`, `15m`, `12h`, `5d`; more than 0."""
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([0-9]{1,12})\s*([smhd]?)\s*", value)
        if match is None:
            raise ValueError(f"{value!r} is no duration; write seconds, or for example 90s, 15m, 12h, 5d")
        value = int(match[1]) * UNITS[match[2] or "s"]
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{value!r} is no duration; write whole seconds, or for example '5d'")
    if value <= 0:
        raise ValueError("must be more than 0 seconds")
    return value


def label(text: str) -> str:
    """Read the name of a node or realm: letters, digits, `.`, `_` and `-`, at most 63."""
    if not LABEL.fullmatch(text):
        raise ValueError(
            f"{text!r} is no name; use 1 to 63 letters, digits, dots or dashes, no dot or dash at the ends"
        )
    return text


def replacement(text: str) -> str:
    """Read what replaces an actor or the store: `module:Class`, `file.py:Class`, or an entry point's name."""
    if not REPLACEMENT.fullmatch(text):
        raise ValueError(f"{text!r} names nothing; write module:Class, file.py:Class or an entry point's name")
    return text


def choice(text: str, kind: type[E]) -> E:
    """Read one of an enumeration's values."""
    values = [str(member.value) for member in kind]
    if text not in values:
        raise ValueError(f"{text!r} is not one of {', '.join(values)}{did_you_mean(text, values)}")
    return kind(text)


def did_you_mean(word: str, known: list[str]) -> str:
    """Return `; did you mean 'x'?` for the nearest known word, or nothing."""
    near = get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
