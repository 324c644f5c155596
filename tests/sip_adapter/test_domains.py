"""Which hosts are ours."""

from __future__ import annotations

import pytest

from sip_adapter.domains import Domains


def of(*listeners: str) -> Domains:
    domains = Domains("Angarium.Example", ("mail.example.",))
    for host in listeners:
        domains.add_listener(host)
    return domains


@pytest.mark.parametrize("host", ["angarium.example", "ANGARIUM.example.", "localhost", "mail.example", "10.0.0.1"])
def test_realm_localhost_extra_names_and_listeners_are_ours(host: str) -> None:
    assert of("10.0.0.1").is_ours(host)


@pytest.mark.parametrize("host", ["", "example", "x.angarium.example", "10.0.0.2", "127.0.0.1", "::1"])
def test_others_are_not(host: str) -> None:
    assert not of("10.0.0.1").is_ours(host)


def test_an_ipv6_address_is_known_in_every_spelling() -> None:
    assert of("2001:DB8::1").is_ours("2001:db8:0::1")


@pytest.mark.parametrize("wildcard", ["0.0.0.0", "::"])
def test_a_wildcard_takes_every_address_but_no_name(wildcard: str) -> None:
    domains = of(wildcard)
    assert domains.is_ours("192.0.2.1")
    assert domains.is_ours("2001:db8::1")
    assert not domains.is_ours("other.example")


def test_a_listener_added_later_counts() -> None:
    domains = of()
    assert not domains.is_ours("10.0.0.1")
    domains.add_listener("10.0.0.1")
    assert domains.is_ours("10.0.0.1")
