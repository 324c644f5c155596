"""Digest authentication on the wire: challenges written, credentials read (RFC 7616, RFC 3261 22).

No arithmetic here. Challenges are written as phones take them: qop="auth" alone and always, the algorithm
without quotes.
"""

from __future__ import annotations

from actors.messages.requests import Challenge, DigestResponse
from actors.model import Header
from sip_adapter.errors import SipError
from sip_adapter.headers import parse_auth
from sip_adapter.message import Request

_CREDENTIALS = (b"authorization", b"proxy-authorization")


def challenge_headers(challenge: Challenge, status: int) -> tuple[Header, ...]:
    """Return one WWW-Authenticate (407: Proxy-Authenticate) for each algorithm, in the order given."""
    name = b"Proxy-Authenticate" if status == 407 else b"WWW-Authenticate"
    return tuple((name, _challenge(challenge, algorithm)) for algorithm in challenge.algorithms)


def _challenge(challenge: Challenge, algorithm: str) -> bytes:
    parts = [f"realm={_quote(challenge.realm)}", f"nonce={_quote(challenge.nonce)}"]
    if challenge.opaque:
        parts.append(f"opaque={_quote(challenge.opaque)}")
    if challenge.stale:
        parts.append("stale=true")
    parts += [f"algorithm={algorithm}", 'qop="auth"']
    return ("Digest " + ", ".join(parts)).encode()


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def credentials(request: Request, realm: str) -> DigestResponse | None:
    """Return the digest response for this realm, else the first one, else None; raises SipError 400."""
    found: DigestResponse | None = None
    for name in _CREDENTIALS:
        for value in request.get_all(name):
            response = _digest_response(request, value)
            if response is not None and response.realm == realm:
                return response
            found = found or response
    return found


def _digest_response(request: Request, value: bytes) -> DigestResponse | None:
    try:
        scheme, params = parse_auth(value)
    except SipError as error:
        raise request.error(error.reason) from error
    if scheme != "digest":
        return None
    for text in params.values():
        if not is_text(text):
            raise request.error("Authorization is not UTF-8")
    return DigestResponse(
        username=params.get("username", ""),
        realm=params.get("realm", ""),
        nonce=params.get("nonce", ""),
        uri=params.get("uri", ""),
        response=params.get("response", "").lower(),
        method=request.method,
        algorithm=params.get("algorithm", "MD5").upper(),
        qop=params.get("qop", "").lower(),
        nc=params.get("nc", ""),
        cnonce=params.get("cnonce", ""),
        opaque=params.get("opaque", ""),
    )


def is_text(value: str) -> bool:
    """Tell whether a decoded value was UTF-8: what was not holds surrogates, which no file or hash takes."""
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)
