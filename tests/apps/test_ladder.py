"""Journeys drawn: who is in the picture, what goes between them, and that nothing from the network is obeyed."""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ElementTree

import msgspec

from apps.client.ladder import Journey, Party, SilentNode, TracedStep, ladder, mermaid, pcap, svg
from apps.common.journey import parties, rungs

BOB = "contact:bob@127.0.0.1:5070"
JOURNEY = Journey(
    id="id-1",
    sender="alice",
    recipient="bob",
    state="delivered",
    accepted_at=1000.0,
    ended_at=1000.5,
    steps=(
        TracedStep(1000.0, "a", "accepted"),
        TracedStep(1000.1, "b", "stored", "from a"),
        TracedStep(1000.2, "a", "forwarded", "b", "b"),
        TracedStep(1000.25, "b", "waiting", "c answered 503 busy", "c"),
        TracedStep(1000.3, "c", "sent", BOB, BOB),
        TracedStep(1000.35, "b", "forwarded", "c", "c"),
        TracedStep(1000.4, "c", "acknowledged", BOB, BOB),
        TracedStep(1000.5, "c", "ended", "delivered"),
    ),
    nodes=("a", "b", "c"),
    silent=(SilentNode("d", "no answer"),),
)
WIRE = ["alice>a", "a>alice 202", "a>b", "b>a 202", "c>b 503", f"c>{BOB}", "b>c", "c>b 202", f"{BOB}>c 200"]


def arrows(journey: Journey) -> list[str]:
    return [
        f"{rung.source.name}>{rung.target.name}" + (f" {rung.status}" if rung.status else "")
        for rung in rungs(journey)
        if rung.kind != "note"
    ]


def test_both_sides_of_a_hand_over_are_one_request_and_its_answer() -> None:
    assert arrows(JOURNEY) == WIRE
    assert [party.name for party in parties(rungs(JOURNEY))] == ["alice", "a", "b", "c", BOB]


def test_a_phone_at_another_node_is_drawn_behind_that_node() -> None:
    steps = (
        TracedStep(1.0, "a", "accepted"),
        TracedStep(2.0, "a", "sent", BOB, BOB),
        TracedStep(3.0, "e", "relayed", "sip:bob@127.0.0.1:5070", "sip:bob@127.0.0.1:5070"),
        TracedStep(4.0, "a", "acknowledged", BOB, BOB),
    )
    journey = Journey("id", "alice", "bob", steps=steps)
    assert arrows(journey) == ["alice>a", "a>alice 202", "a>e", f"e>{BOB}", f"{BOB}>e 200", "e>a 200"]


def test_text_says_state_steps_and_who_is_silent() -> None:
    lines = ladder(JOURNEY).splitlines()
    assert lines[0] == "id-1  alice -> bob  delivered"
    assert lines[3].endswith("+0.200 s  a  forwarded  b")
    assert lines[-1] == "  ?  server d is silent: no answer"


def test_mermaid_has_all_lines_and_arrows() -> None:
    lines = mermaid(JOURNEY).splitlines()
    assert lines[:4] == [
        "sequenceDiagram",
        "    actor p0 as alice",
        "    participant p1 as a",
        "    participant p2 as b",
    ]
    assert "    p0->>p1: MESSAGE" in lines
    assert "    p2-->>p1: 202 taken over" in lines
    assert len([line for line in lines if ">>" in line]) == len(WIRE)


def test_nothing_from_the_network_is_markup() -> None:
    evil = "<script>x</script>\x1b[31m\u202e%%{init}\n; end"
    steps = (
        TracedStep(1.0, evil, "accepted"),
        TracedStep(2.0, evil, "sent", evil, evil),
        TracedStep(3.0, evil, "waiting", evil),
        TracedStep(4.0, evil, evil, evil),
    )
    journey = Journey(evil, evil, evil, state=evil, reason=evil, steps=steps, silent=(SilentNode(evil, evil),))
    for text in (ladder(journey), mermaid(journey), svg(journey)):
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert "<script" not in svg(journey)
    assert "<" not in mermaid(journey)
    assert "\n; end" not in ladder(journey)
    ElementTree.fromstring(svg(journey))
    assert len(mermaid(journey).splitlines()) == 1 + len(parties(rungs(journey))) + len(rungs(journey)) + 1
    assert len(packets(pcap(journey))) == len(arrows(journey))


def test_the_picture_names_everybody_and_is_well_formed() -> None:
    root = ElementTree.fromstring(svg(JOURNEY))
    texts = {text.text for text in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"alice", "a", "b", "c", BOB, "202 taken over", "server d is silent: no answer"} <= texts


def test_a_journey_without_steps_can_be_drawn() -> None:
    empty = Journey("id")
    assert ladder(empty) == "id  unknown"
    ElementTree.fromstring(svg(empty))
    assert mermaid(empty) == "sequenceDiagram\n"
    assert packets(pcap(empty)) == []


def test_it_survives_json() -> None:
    assert msgspec.json.decode(msgspec.json.encode(JOURNEY), type=Journey) == JOURNEY


class Packet(msgspec.Struct):
    """What a reader of captures finds."""

    at: float
    source: str
    target: str
    ports: tuple[int, int]
    start: str
    headers: dict[str, str]


def packets(data: bytes) -> list[Packet]:
    magic, major, minor, _, _, _, link = struct.unpack("<IHHiIII", data[:24])
    assert (magic, major, minor, link) == (0xA1B2C3D4, 2, 4, 1)
    found, place = [], 24
    while place < len(data):
        seconds, micros, kept, length = struct.unpack("<IIII", data[place : place + 16])
        frame = data[place + 16 : place + 16 + kept]
        assert kept == length == len(frame)
        found.append(packet(seconds + micros / 1e6, frame))
        place += 16 + kept
    return found


def packet(at: float, frame: bytes) -> Packet:
    assert frame[12:14] == b"\x08\x00"
    head, datagram = frame[14:34], frame[34:]
    assert head[0] == 0x45
    assert head[9] == 17
    assert len(frame) - 14 == struct.unpack("!H", head[2:4])[0]
    assert folded(head) == 0xFFFF
    source_port, target_port, length = struct.unpack("!HHH", datagram[:6])
    assert folded(head[12:20] + struct.pack("!BBH", 0, 17, length) + datagram) == 0xFFFF
    text, _, body = datagram[8:].decode("ascii").partition("\r\n\r\n")
    assert body == ""
    start, *lines = text.split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    hosts = [".".join(map(str, part)) for part in (head[12:16], head[16:20])]
    return Packet(at, hosts[0], hosts[1], (source_port, target_port), start, headers)


def folded(data: bytes) -> int:
    """Sum 16-bit words with end-around carry: all ones where the checksum among them is right (RFC 1071)."""
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    return total % 0xFFFF or 0xFFFF


def test_a_capture_has_a_packet_for_each_arrow_with_an_address_for_each_party() -> None:
    hosts = {party: f"10.0.0.{number + 1}" for number, party in enumerate(parties(rungs(JOURNEY)))}
    read = packets(pcap(JOURNEY))
    drawn = [rung for rung in rungs(JOURNEY) if rung.kind != "note"]
    assert [(one.source, one.target) for one in read] == [(hosts[r.source], hosts[r.target]) for r in drawn]
    assert [one.start.split()[1 if one.start.startswith("SIP") else 0] for one in read] == [
        str(rung.status) if rung.status else "MESSAGE" for rung in drawn
    ]
    assert {one.headers["Call-ID"] for one in read} == {"id-1"}
    assert [one.at for one in read] == sorted({one.at for one in read})
    assert hosts[Party("device", BOB)] == "10.0.0.5"


def test_an_answer_has_the_branch_of_its_request() -> None:
    read = packets(pcap(JOURNEY))
    assert read[0].headers["Via"] == read[1].headers["Via"]
    assert read[2].headers["Via"] == read[3].headers["Via"] != read[0].headers["Via"]
