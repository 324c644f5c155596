"""Names that are made once: message ids, ingress keys, delivery tokens, Call-IDs towards devices."""

from __future__ import annotations

import itertools
from hashlib import blake2b

from actors.model import Envelope, MessageId, UserName

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def base32(number: int, width: int = 1) -> str:
    """Write a number in Crockford's base 32, lower case, at least `width` digits."""
    digits = ""
    while number or len(digits) < width:
        digits = _ALPHABET[number & 31] + digits
        number >>= 5
    return digits


class IdMint:
    """Makes message ids: time, a random part drawn at each start, a counter (PROTOCOL 3).

    The random part keeps a restored backup, or a clock set back, from minting an id a second time.
    """

    def __init__(self, random: bytes) -> None:
        self._boot = base32(int.from_bytes(random[:5], "big"), 8)
        self._numbers = itertools.count(1)
        self._second = -1
        self._prefix = ""

    def mint(self, wall: float) -> MessageId:
        """Make the next id; ids of one node sort by time of making as long as its clock goes forward."""
        second = int(wall)
        if second != self._second:
            self._second = second
            self._prefix = f"{base32(second, 7)}-{self._boot}-"
        return MessageId(self._prefix + format(next(self._numbers), "x"))


def notice_id(message: MessageId) -> MessageId:
    """The id of the one notice about a message: a hash of its id, so two nodes make the same (PROTOCOL 14)."""
    return MessageId("n-" + blake2b(message.encode(), digest_size=12, person=b"notice").hexdigest())


def ingress_key(who: str, recipient: str, call_id: bytes, from_tag: bytes, cseq: int, body: bytes) -> bytes:
    """The 16 bytes by which a request sent again is known again (PROTOCOL 2)."""
    head = f"{who}\0{recipient}\0{cseq}\0".encode("utf-8", "surrogateescape")
    return blake2b(b"%b%b\0%b\0%b" % (head, call_id, from_tag, body), digest_size=16).digest()


def client_id_key(user: UserName, recipient: UserName, client_id: str) -> bytes:
    """The ingress key of a message that bears its authenticated sender's own id (PROTOCOL 3)."""
    text = f"{user}\0{recipient}\0{client_id}".encode("utf-8", "surrogateescape")
    return blake2b(text, digest_size=16, person=b"client-id").digest()


def delivery_token(node_key: bytes, message: MessageId, device: str, attempt: int) -> str:
    """128 bits in hex that name one attempt to deliver: lasting, and unknown to others (PROTOCOL 10, 13)."""
    text = f"{message}\0{device}\0{attempt}".encode("utf-8", "surrogateescape")
    return blake2b(text, digest_size=16, key=node_key).hexdigest()


class CallIdMemory:
    """Remembers which Call-IDs a sender has used towards a recipient, the last 50,000 to 100,000 of them.

    A phone that numbers its messages within one Call-ID would otherwise make two of them look like one dialog-less
    call to the recipient's phone. What is forgotten does no harm: From tag and branch differ by message anyway.
    """

    _SIZE = 50_000

    def __init__(self) -> None:
        self._young: set[int] = set()
        self._old: set[int] = set()

    def outgoing(self, sender: UserName, recipient: UserName, call_id: bytes, message: MessageId) -> bytes:
        """Give the Call-ID towards devices: the sender's, suffixed if it was used before."""
        mark = hash((sender, recipient, call_id))
        if mark in self._young or mark in self._old:
            return b"%b-%b" % (call_id, message.encode())
        self._young.add(mark)
        if len(self._young) >= self._SIZE:
            self._old, self._young = self._young, set()
        return call_id


def is_about(envelope: Envelope, content_type: bytes) -> bool:
    """Tell whether the message's Content-Type begins with this one."""
    for name, value in envelope.headers:
        if name == b"Content-Type":
            return value.lower().startswith(content_type)
    return False
