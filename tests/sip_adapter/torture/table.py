"""What RFC 4475 and RFC 5118 expect of each of their messages, and what a node therefore answers.

The files beside this one are the RFCs' own test messages (RFC 5118's with the CRLF line ends that SIP demands,
and `baddn` with the empty line that its archive lacks).
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent


class Case(NamedTuple):
    """The verdict on one message."""

    section: str
    """RFC and section that describe it."""
    codec: int | None
    """The status of the codec's SipError, or None when the message must parse."""
    node: tuple[int, ...]
    """What a node may answer that does not serve the message's domain, best first; empty: it answers nothing."""

    @property
    def valid(self) -> bool:
        """Whether the message must parse."""
        return self.codec is None


NO_ANSWER: tuple[int, ...] = ()
NO_CALLS = (405,)
UNKNOWN_METHOD = (501, 405)
FOREIGN = (404, 200)
"""404 for the host of another network; 200 where the test serves it."""

TABLE: dict[str, Case] = {
    "wsinv": Case("RFC 4475 3.1.1.1", None, NO_CALLS),
    "intmeth": Case("RFC 4475 3.1.1.2", None, UNKNOWN_METHOD),
    "esc01": Case("RFC 4475 3.1.1.3", None, NO_CALLS),
    "escnull": Case("RFC 4475 3.1.1.4", None, (404, 200, 401)),
    "esc02": Case("RFC 4475 3.1.1.5", None, UNKNOWN_METHOD),
    "lwsdisp": Case("RFC 4475 3.1.1.6", None, FOREIGN),
    "longreq": Case("RFC 4475 3.1.1.7", None, NO_CALLS),
    "dblreq": Case("RFC 4475 3.1.1.8", None, (404, 200, 401)),
    "semiuri": Case("RFC 4475 3.1.1.9", None, FOREIGN),
    "transports": Case("RFC 4475 3.1.1.10", None, FOREIGN),
    "mpart01": Case("RFC 4475 3.1.1.11", None, (404, 415, 202)),
    "unreason": Case("RFC 4475 3.1.1.12", None, NO_ANSWER),
    "noreason": Case("RFC 4475 3.1.1.13", None, NO_ANSWER),
    "badinv01": Case("RFC 4475 3.1.2.1", 400, (400,)),
    "clerr": Case("RFC 4475 3.1.2.2", 400, (400,)),
    "ncl": Case("RFC 4475 3.1.2.3", 400, (400,)),
    "scalar02": Case("RFC 4475 3.1.2.4", 400, (400,)),
    "scalarlg": Case("RFC 4475 3.1.2.5", 400, NO_ANSWER),
    "quotbal": Case("RFC 4475 3.1.2.6", 400, (400,)),
    "ltgtruri": Case("RFC 4475 3.1.2.7", 400, (400,)),
    "lwsruri": Case("RFC 4475 3.1.2.8", 400, (400,)),
    "lwsstart": Case("RFC 4475 3.1.2.9", 400, (400,)),
    "trws": Case("RFC 4475 3.1.2.10", 400, (400,)),
    "escruri": Case("RFC 4475 3.1.2.11", 400, (400,)),
    "baddate": Case("RFC 4475 3.1.2.12", None, (405, 400)),  # Date is not used for an INVITE that is refused
    "regbadct": Case("RFC 4475 3.1.2.13", 400, (400,)),
    "badaspec": Case("RFC 4475 3.1.2.14", 400, (400,)),
    "baddn": Case("RFC 4475 3.1.2.15", 400, (400,)),
    "badvers": Case("RFC 4475 3.1.2.16", 505, (505,)),
    "mismatch01": Case("RFC 4475 3.1.2.17", 400, (400,)),
    "mismatch02": Case("RFC 4475 3.1.2.18", 501, (501, 400)),
    "bigcode": Case("RFC 4475 3.1.2.19", 400, NO_ANSWER),
    "badbranch": Case("RFC 4475 3.2.1", None, FOREIGN),
    "insuf": Case("RFC 4475 3.3.1", 400, (400,)),
    "unkscm": Case("RFC 4475 3.3.2", None, (416,)),
    "novelsc": Case("RFC 4475 3.3.3", None, (416,)),
    "unksm2": Case("RFC 4475 3.3.4", None, (400, 404)),  # a registrar needs a SIP URI in To
    "bext01": Case("RFC 4475 3.3.5", None, (420, 404)),
    "invut": Case("RFC 4475 3.3.6", None, NO_CALLS),
    "regaut01": Case("RFC 4475 3.3.7", None, (404, 401, 200)),
    "multi01": Case("RFC 4475 3.3.8", 400, (400,)),
    "mcl01": Case("RFC 4475 3.3.9", 400, (400,)),
    "bcast": Case("RFC 4475 3.3.10", None, NO_ANSWER),
    "zeromf": Case("RFC 4475 3.3.11", None, (404, 200, 483)),
    "cparam01": Case("RFC 4475 3.3.12", None, (404, 200, 401)),
    "cparam02": Case("RFC 4475 3.3.13", None, (404, 200, 401)),
    "regescrt": Case("RFC 4475 3.3.14", None, (404, 200, 401)),
    "sdp01": Case("RFC 4475 3.3.15", None, NO_CALLS),
    "inv2543": Case("RFC 4475 3.4.1", None, NO_CALLS),
    "ipv6-good": Case("RFC 5118 4.1", None, (404, 200, 401)),
    "ipv6-bad": Case("RFC 5118 4.2", 400, (400,)),
    "port-ambiguous": Case("RFC 5118 4.3", None, (404, 200, 401)),
    "port-unambiguous": Case("RFC 5118 4.4", None, (404, 200, 401)),
    "via-received-param-with-delim": Case("RFC 5118 4.5", None, (405, 481, 501)),
    "via-received-param-no-delim": Case("RFC 5118 4.5", None, FOREIGN),
    "ipv6-in-sdp": Case("RFC 5118 4.6", None, NO_CALLS),
    "mult-ip-in-header": Case("RFC 5118 4.7", None, (405, 481, 501)),
    "mult-ip-in-sdp": Case("RFC 5118 4.8", None, NO_CALLS),
    "ipv4-mapped-ipv6": Case("RFC 5118 4.9", None, NO_CALLS),
    "ipv6-bug-abnf-3-colons": Case("RFC 5118 4.10", None, FOREIGN),
    "ipv6-correct-abnf-2-colons": Case("RFC 5118 4.10", None, FOREIGN),
}


def load(name: str) -> bytes:
    """Return the bytes of one message as they arrive in a datagram."""
    return (FOLDER / f"{name}.dat").read_bytes()
