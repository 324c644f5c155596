"""What a REGISTER changes, by the rules of RFC 3261 10.3 and RFC 5626."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from actors.model import Account, Device, Flow, UserName
from actors.state.client_registry import GUEST, NEVER, UserRecord
from actors.state.registrar import MAX_BINDINGS, UNSAVED, Refusal, contact_lines, device_key, plan
from tests.actors.bench import Requests, contact, flow

make = Requests()
STREAM = flow(5, transport="tcp", connection=3)


class Phonebook:
    """A user and his devices as REGISTERs change them."""

    def __init__(self) -> None:
        self.record = UserRecord(Account(UserName("bob")))

    def register(self, *contacts: Any, now: float = 0.0, keeps_alive: bool = False, **more: Any) -> None:
        request = make.registration("bob", *contacts, **more)
        changes = plan(self.record, request, now, keeps_alive=keeps_alive, device_life=1000.0)
        for key in changes.forgotten:
            self.record.devices.pop(key)
        for device in changes.changed:
            self.record.devices.put(device)

    def lines(self, now: float = 0.0) -> list[tuple[bytes, int]]:
        return [(line.uri, line.expires) for line in contact_lines(self.record, now)]

    def devices(self) -> list[Device]:
        return list(self.record.devices.values())


def test_how_long_a_binding_lives() -> None:
    for asked, header, granted in (
        (None, None, 3600),
        (None, 100, 100),
        (300, 100, 300),
        (100_000, None, 7200),
        (60, None, 60),
    ):
        book = Phonebook()
        book.register(contact("bob", expires=asked), expires=header)
        assert book.lines() == [(b"sip:bob@10.0.0.9:5060", granted)]


def test_too_brief_is_423_and_changes_nothing() -> None:
    book = Phonebook()
    with pytest.raises(Refusal) as caught:
        book.register(contact("bob"), expires=59)
    assert (caught.value.status, caught.value.min_expires) == (423, 60)
    assert book.devices() == []


def test_streams_without_keep_alives_live_short() -> None:
    book = Phonebook()
    book.register(contact("bob"), over=STREAM)
    assert book.lines()[0][1] == 120
    book.register(contact("bob"), over=STREAM, keeps_alive=True)
    assert book.lines()[0][1] == 3600


def test_within_one_call_id_only_a_higher_cseq_counts() -> None:
    book = Phonebook()
    book.register(contact("bob"), call_id=b"c", cseq=5)
    with pytest.raises(Refusal) as caught:
        book.register(contact("bob", expires=0), call_id=b"c", cseq=4)
    assert caught.value.status == 500
    with pytest.raises(Refusal):
        book.register(contact("bob"), call_id=b"c", cseq=5, over=flow(9))
    book.register(contact("bob"), call_id=b"c", cseq=5)  # the same again: its 200 was lost
    book.register(contact("bob", expires=0), call_id=b"c", cseq=6)
    assert book.lines() == []
    book.register(contact("bob"), call_id=b"d", cseq=1)
    assert len(book.lines()) == 1


def test_a_star_ends_all_bindings_and_keeps_the_devices() -> None:
    book = Phonebook()
    book.register(contact("bob", instance="urn:1"), contact("bob", "10.0.0.8"))
    book.register(contact("bob", "x.invalid", port=None))
    assert len(book.lines()) == 3
    book.register(star=True, expires=0)
    assert book.lines() == []
    assert [device.key for device in book.devices()] == ["instance:urn:1", "contact:bob@10.0.0.8:5060"]


def test_names_of_devices() -> None:
    assert device_key(contact("bob", instance="urn:1")) == "instance:urn:1"
    assert device_key(contact("bob")) == "contact:bob@10.0.0.9:5060"
    assert device_key(contact("bob", port=None)) == "contact:bob@10.0.0.9"
    assert device_key(contact("x", "a.invalid", port=None)) == GUEST + "sip:x@a.invalid"
    assert device_key(contact("x", "a.invalid", instance="urn:1")) == "instance:urn:1"


def test_an_instance_with_a_new_contact_replaces_its_old_one() -> None:
    book = Phonebook()
    book.register(contact("bob-1", instance="urn:1"), over=flow(1))
    book.register(contact("bob-2", instance="urn:1"), over=flow(2))
    assert [uri for uri, _ in book.lines()] == [b"sip:bob-2@10.0.0.9:5060"]
    two = msgspec.structs.replace(contact("bob-3", instance="urn:1"), reg_id=2)
    book.register(two, over=flow(3))
    assert len(book.lines()) == 2


def test_two_phones_in_two_homes_may_share_a_private_address() -> None:
    book = Phonebook()
    book.register(contact("bob", "192.168.1.2", instance="urn:home"), over=flow(1))
    book.register(contact("bob", "192.168.1.2", instance="urn:office"), over=flow(2))
    assert len(book.lines()) == 2
    book.register(contact("bob", "192.168.1.2", instance="urn:new"), over=flow(2))  # the same phone, reinstalled
    assert len(book.lines()) == 2
    assert [bool(device.bindings) for device in book.devices()] == [True, False, True]


def test_new_devices_are_marked_for_the_disk_and_guests_are_not() -> None:
    book = Phonebook()
    book.register(contact("bob", instance="urn:1"), contact("x", "a.invalid", port=None))
    assert [device.since for device in book.devices()] == [UNSAVED, NEVER]


def test_lapsed_bindings_and_guests_go_at_the_next_register() -> None:
    book = Phonebook()
    book.register(contact("x", "a.invalid", port=None), expires=60)
    book.register(contact("bob", instance="urn:1"), expires=60)
    book.register(contact("bob", "10.0.0.8", instance="urn:2"), now=100.0)
    assert [(device.key, len(device.bindings)) for device in book.devices()] == [
        ("instance:urn:1", 0),
        ("instance:urn:2", 1),
    ]


def test_bindings_of_a_device_are_bounded() -> None:
    book = Phonebook()
    for number in range(50):
        item = contact("bob")
        book.register(msgspec.structs.replace(item, uri=item.uri + b";x=%d" % number))
    assert len(book.devices()) == 1
    assert len(book.lines()) == MAX_BINDINGS
    assert book.lines()[-1][0].endswith(b";x=49")


def test_devices_unseen_for_long_are_forgotten() -> None:
    book = Phonebook()
    book.register(contact("bob", instance="urn:1"))
    book.register(contact("bob", instance="urn:2"), now=1001.0)
    assert [device.key for device in book.devices()] == ["instance:urn:2"]


def test_a_binding_keeps_what_it_came_with() -> None:
    book = Phonebook()
    over = Flow("udp", 1, "198.51.100.1", 4444)
    book.register(contact("bob", instance="urn:1"), over=over, call_id=b"c", cseq=3)
    (binding,) = book.devices()[0].bindings
    assert (binding.contact, binding.flow, binding.call_id, binding.cseq) == (b"sip:bob@10.0.0.9:5060", over, b"c", 3)
    assert binding.params == ((b"+sip.instance", b"<urn:1>"),)
