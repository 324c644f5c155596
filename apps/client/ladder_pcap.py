"""A journey as a capture file (libpcap, Ethernet, IPv4, UDP), for sngrep, tshark and Wireshark.

The packets are made up from the journey: a request or answer for each arrow, one address for each phone and server
(10.0.0.1 and so on, from left to right), and no body: nodes keep no text of what has gone on. One Call-ID, made of the
message's id, so that all of it is one ladder; notes of a journey have no packet.
"""

from __future__ import annotations

import struct
from urllib.parse import quote

from apps.common.journey import Journey, Party, Rung, parties, rungs

ETHERNET = 1
"""Link type."""
PORT = 5060
UDP = 17
REASONS = {200: "OK", 202: "Accepted"}


def pcap(journey: Journey) -> bytes:
    """Return the capture; packets bear the times of the steps, a microsecond apart where they share one."""
    drawn = rungs(journey)
    hosts = {party: number + 1 for number, party in enumerate(parties(drawn))}
    parts = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, ETHERNET)]
    branches: dict[tuple[Party, Party], str] = {}
    last = 0
    for number, rung in enumerate(drawn):
        if rung.kind == "note":
            continue
        if rung.kind == "request":
            branches[rung.source, rung.target] = f"z9hG4bK-step-{number}"
        payload = _sip(journey, rung, hosts, branches)
        packet = _ethernet(hosts[rung.source], hosts[rung.target], payload)
        last = max(last + 1, int(rung.at * 1_000_000))
        parts.append(struct.pack("<IIII", last // 1_000_000 % 2**32, last % 1_000_000, len(packet), len(packet)))
        parts.append(packet)
    return b"".join(parts)


def _sip(journey: Journey, rung: Rung, hosts: dict[Party, int], branches: dict[tuple[Party, Party], str]) -> bytes:
    request = rung.kind == "request"
    asker, asked = (rung.source, rung.target) if request else (rung.target, rung.source)
    branch = branches.get((asker, asked), "z9hG4bK-step-unseen")
    to = f"sip:{_quoted(journey.recipient or 'unknown')}@angarium"
    start = f"MESSAGE {to} SIP/2.0" if request else f"SIP/2.0 {rung.status} {REASONS.get(rung.status, 'Answered')}"
    lines = [
        start,
        f"Via: SIP/2.0/UDP {_dotted(hosts[asker])}:{PORT};branch={branch}",
        f"From: <sip:{_quoted(journey.sender or 'unknown')}@angarium>;tag=angarium",
        f"To: <{to}>" + ("" if request else ";tag=angarium"),
        f"Call-ID: {_quoted(journey.id)}",
        "CSeq: 1 MESSAGE",
        f"Angarium-Id: {_quoted(journey.id)}",
        f"Subject: {_quoted(asker.name)} to {_quoted(asked.name)}",
        *(["Max-Forwards: 70"] if request else []),
        "Content-Length: 0",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def _quoted(text: str) -> str:
    return quote(text.encode("utf-8", "replace"), safe="!~*'()&=+$,-_.")


def _dotted(host: int) -> str:
    return ".".join(str(part) for part in _address(host))


def _address(host: int) -> bytes:
    return bytes((10, host >> 16 & 255, host >> 8 & 255, host & 255))


def _ethernet(source: int, target: int, payload: bytes) -> bytes:
    """Wrap a payload; the hardware addresses are local ones (second bit of the first byte)."""
    mac = [b"\x02\x00" + _address(host) for host in (target, source)]
    return b"".join(mac) + b"\x08\x00" + _ip(_address(source), _address(target), _udp(source, target, payload))


def _ip(source: bytes, target: bytes, datagram: bytes) -> bytes:
    """IPv4 (RFC 791)."""
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(datagram), 0, 0x4000, 64, UDP, 0, source, target)
    return head[:10] + struct.pack("!H", _checksum(head)) + head[12:] + datagram


def _udp(source: int, target: int, payload: bytes) -> bytes:
    """UDP (RFC 768) with its checksum over the pseudo-header; 0 is written as all ones."""
    length = 8 + len(payload)
    pseudo = _address(source) + _address(target) + struct.pack("!BBH", 0, UDP, length)
    head = struct.pack("!HHHH", PORT, PORT, length, 0)
    checksum = _checksum(pseudo + head + payload) or 0xFFFF
    return head[:6] + struct.pack("!H", checksum) + payload


def _checksum(data: bytes) -> int:
    """The internet checksum (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
