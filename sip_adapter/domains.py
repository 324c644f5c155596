"""Which hosts of a URI mean this network."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address


class Domains:
    """The realm, `localhost`, extra names and the listen addresses, with any port.

    A listener on a wildcard address takes every IP literal for its own: which addresses lead to this machine
    (behind a translator, in a container) is not known to it.
    """

    def __init__(self, realm: str, extra: Iterable[str] = ()) -> None:
        self._hosts = {host.lower().rstrip(".") for host in (realm, "localhost", *extra)}
        self._any_address = False
        self.is_ours = lru_cache(maxsize=4096)(self._is_ours)

    def add_listener(self, host: str) -> None:
        """Take a listen address for ours."""
        if is_wildcard(host):
            self._any_address = True
        else:
            self._hosts.add(_canonical(host))
        self.is_ours.cache_clear()

    def _is_ours(self, host: str) -> bool:
        """Tell whether this host (an IPv6 address without brackets) is ours."""
        name = _canonical(host)
        return name in self._hosts or (self._any_address and is_address(name))


def is_wildcard(host: str) -> bool:
    """Tell whether this is the address that stands for all of this machine's."""
    return is_address(host) and ip_address(host).is_unspecified


def is_address(host: str) -> bool:
    """Tell whether this is an IPv4 or IPv6 literal (without brackets)."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _canonical(host: str) -> str:
    name = host.lower().rstrip(".")
    return str(ip_address(name)) if is_address(name) else name
