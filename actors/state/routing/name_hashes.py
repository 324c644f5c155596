"""24-bit hashes of user names, three bytes each, and sets of them that equal nodes of one process share."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from weakref import WeakValueDictionary

from actors.model import UserName

Hashes = frozenset[int]
NOTHING: Hashes = frozenset()
WIDTH = 3

# A thousand simulated nodes hold the same sets: made once, found again by what they were made of, gone with the last.
_made: WeakValueDictionary[tuple[int, bytes, bytes], Hashes] = WeakValueDictionary()


def name_hash(name: UserName) -> int:
    """Give the first 24 bits of the BLAKE2b hash of a name."""
    return int.from_bytes(blake2b(name.encode(errors="surrogatepass"), digest_size=WIDTH).digest(), "big")


def pack(hashes: Iterable[int]) -> bytes:
    """Write hashes in order, three bytes each."""
    return b"".join([value.to_bytes(WIDTH, "big") for value in sorted(hashes)])


def unpack(data: bytes) -> Hashes:
    """Read what `pack` wrote; bytes that make no whole hash are left out."""
    end = len(data) - len(data) % WIDTH
    return frozenset([int.from_bytes(data[at : at + WIDTH], "big") for at in range(0, end, WIDTH)])


def changed(hashes: Hashes, added: bytes, removed: bytes) -> Hashes:
    """Give the set without what was removed and with what was added; equal ones are mostly the same object."""
    if not added and not removed:
        return hashes
    key = (hash(hashes), added, removed)
    made = _made.get(key)
    if made is None:
        made = hashes - unpack(removed) | unpack(added)
        _made[key] = made
    return made
