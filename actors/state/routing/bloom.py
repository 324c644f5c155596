"""Bloom filters of node names, salted by a search: a hint of who was probably asked, in 64 to 256 bytes."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b

from actors.model import NodeName

SMALLEST = 64
LARGEST = 256
PROBES = 3
"""Bits that each name sets: near the best for the 100 to 500 names that go into 2,048 bits."""


def filter_size(nodes: int) -> int:
    """Give the bytes of a filter that suits a network of so many nodes: 64, 128 or 256."""
    return SMALLEST if nodes <= 100 else SMALLEST * 2 if nodes <= 300 else LARGEST


def empty_filter(nodes: int) -> bytes:
    """Make a filter with nobody in it for a network of so many nodes."""
    return bytes(filter_size(nodes))


def with_node(seen: bytes, salt: str, node: NodeName) -> bytes:
    """Give the filter with one more node in it; an absent filter stays absent."""
    if not seen:
        return seen
    bits = bytearray(seen)
    for place in _places(len(seen), salt, node):
        bits[place >> 3] |= 1 << (place & 7)
    return bytes(bits)


def probably_in(seen: bytes, salt: str, node: NodeName) -> bool:
    """Tell whether a node is in the filter: no is sure, yes is probable."""
    return bool(seen) and all(seen[place >> 3] & 1 << (place & 7) for place in _places(len(seen), salt, node))


def merged(one: bytes, other: bytes) -> bytes:
    """Give the filter of all that are in either; the longer one if they do not fit together."""
    if len(one) != len(other):
        return max(one, other, key=len)
    return (int.from_bytes(one, "big") | int.from_bytes(other, "big")).to_bytes(len(one), "big")


def _places(size: int, salt: str, node: NodeName) -> Iterator[int]:
    digest = blake2b(node.encode(errors="surrogatepass"), digest_size=4 * PROBES, key=salt.encode()[:64]).digest()
    for start in range(0, len(digest), 4):
        yield int.from_bytes(digest[start : start + 4], "big") % (size * 8)
