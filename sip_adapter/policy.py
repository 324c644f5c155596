"""What is refused before anybody thinks of mail (RFC 3261 8.2 and 16.3): methods, URIs, extensions."""

from __future__ import annotations

from actors.model import Header
from sip_adapter.domains import Domains
from sip_adapter.errors import SipError
from sip_adapter.message import METHODS, Request
from sip_adapter.uri import Uri, parse_uri

ALLOW: Header = (b"Allow", b"MESSAGE, REGISTER, OPTIONS")
OPTIONS_HEADERS: tuple[Header, ...] = (ALLOW, (b"Accept", b"*/*"), (b"Supported", b""))
"""The answer to OPTIONS (RFC 3261 11.2), the same for the server and for every user, known or not."""
MAX_URI = 1024
"""Bytes of a Request-URI; more get 414."""
_SERVED = frozenset(("MESSAGE", "REGISTER", "OPTIONS"))
_UNDERSTOOD = frozenset((b"path", b"outbound", b"gruu"))
"""Extensions that phones may require: they get what these promise them as far as messages go."""


def check(request: Request, domains: Domains) -> Uri:
    """Return the Request-URI of a request served here; raises SipError with the answer it deserves."""
    if request.method not in _SERVED:
        raise _refused_method(request)
    if len(request.uri) > MAX_URI:
        raise request.error("Request-URI Too Long", 414)
    target = _target(request)
    if not domains.is_ours(target.host):
        raise request.error("Host is not of this network", 404)
    if request.method == "MESSAGE" and request.max_forwards == 0:
        raise request.error("Too Many Hops", 483)
    _check_extensions(request)
    return target


def _refused_method(request: Request) -> SipError:
    """CANCEL finds nothing to cancel and BYE no dialog (RFC 3261 9.2, 15.1.2); the others are not for us."""
    if request.method in ("CANCEL", "BYE"):
        return request.error("Call/Transaction Does Not Exist", 481)
    known = request.method in METHODS.values()
    status, reason = (405, "Method Not Allowed") if known else (501, "Not Implemented")
    return SipError(status, reason, (ALLOW,), request)


def _target(request: Request) -> Uri:
    try:
        target = parse_uri(request.uri)
    except SipError as error:
        raise request.error("Malformed Request-URI") from error
    if target.scheme != "sip":
        raise request.error("Unsupported URI Scheme", 416)
    return target


def _check_extensions(request: Request) -> None:
    """RFC 3261 8.2.2.3 for Require; 16.3 for Proxy-Require, since messages travel on through this server."""
    if request.get(b"require") is None and request.get(b"proxy-require") is None:
        return
    asked = request.tokens(b"require") + request.tokens(b"proxy-require")
    unknown = [tag for tag in asked if tag.lower() not in _UNDERSTOOD]
    if unknown:
        raise SipError(420, "Bad Extension", ((b"Unsupported", b", ".join(unknown)),), request)
