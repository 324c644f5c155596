"""The admin interface's paths about bindings that an operator makes, for phones that do not register themselves."""

from __future__ import annotations

import socket
from ipaddress import IPv6Address, ip_address
from typing import Any

from aiohttp import web

from actors.messages.client_manager import CommandDone, DeregisterContacts, RegisterContact
from actors.messages.requests import ContactItem
from actors.model import Flow, UserName
from actors.ref import Ref
from apps.common import users, values
from apps.node import admin_views as views
from apps.node.admin_answers import Named, NewBinding, UserView
from apps.node.admin_facts import NodeReader
from apps.node.admin_guard import ApiError, check_done, json_reply, read_body
from apps.node.admin_routes import Parameter, Route
from apps.node.asking import ask_async
from sip_adapter.errors import SipError
from sip_adapter.uri import Uri, parse_uri

SIP_PORT = 5060
MIN_EXPIRES = 60
MAX_EXPIRES = 7200
"""As the registrar has them."""
LONGEST = 500
"""Bytes of a contact: a request to it is to fit a datagram."""
EVERYWHERE = {"0.0.0.0", "::"}
"""Listening there is listening at all addresses of the machine."""
NO_USER = (404, "there is no such user here")
ELSEWHERE = (403, "he lives at another node, or the name is reserved")


class BindingsApi:
    """The handlers."""

    def __init__(self, reader: NodeReader) -> None:
        """Take whom to ask."""
        self._reader = reader

    def routes(self) -> tuple[Route, ...]:
        """Name the paths."""
        return (
            Route(
                "POST",
                "/v1/users/{name}/bindings",
                self.register,
                "Bind a contact to a user; in open mode the user is made.",
                UserView,
                201,
                NewBinding,
                errors=(NO_USER, ELSEWHERE, (409, "the node has no UDP address for it")),
            ),
            Route(
                "DELETE",
                "/v1/users/{name}/bindings",
                self.deregister,
                "End bindings of a user; his mail waits then.",
                Named,
                parameters=(Parameter("contact", "Only this one, as it was registered.", default=""),),
                errors=((404, "there is no such user or contact here"), ELSEWHERE),
            ),
        )

    async def register(self, request: web.Request) -> web.Response:
        """Bind a contact to a user, over UDP; answers what is known of him now."""
        new = await read_body(request, NewBinding)
        try:
            name = UserName(users.user_name(request.match_info["name"]))
            item = contact(new)
        except ValueError as error:
            raise ApiError(400, "bad-data", str(error)) from None
        listener, address = self._listener(item.host)
        flow = Flow("udp", listener, item.host, item.port or SIP_PORT)
        if is_own(flow.host, flow.port, self._reader.facts.addresses):
            raise ApiError(400, "bad-data", "this node itself is at that address: each message would come back to it")

        def command(reply_to: Ref[Any], number: int) -> RegisterContact:
            return RegisterContact(reply_to, number, name, item, flow, address)

        check_done(await ask_async(self._reader.actors.client_manager, command, CommandDone, 10.0), name)
        listed = await self._reader.users(name=name)
        if not listed.users:
            raise ApiError(404, "unknown", f"{name!r} was removed meanwhile")
        return json_reply(views.user(listed.users[0], listed.node_time), 201)

    async def deregister(self, request: web.Request) -> web.Response:
        """End one binding of a user, or all."""
        name = UserName(request.match_info["name"])
        uri = request.query.get("contact", "").encode("utf-8", "surrogateescape")

        def command(reply_to: Ref[Any], number: int) -> DeregisterContacts:
            return DeregisterContacts(reply_to, number, name, uri)

        check_done(await ask_async(self._reader.actors.client_manager, command, CommandDone, 10.0), name)
        return json_reply(Named(views.clean(name)))

    def _listener(self, host: str) -> tuple[int, str]:
        """Choose the UDP address of this node that a phone is reached from: its number, and host:port."""
        wanted = ":" in host
        for index, text in enumerate(self._reader.facts.addresses):
            address = values.listen(text)
            if address.transport == values.Transport.UDP and (":" in address.host) == wanted:
                return index, text.partition("://")[2]
        family = "IPv6" if wanted else "IPv4"
        raise ApiError(409, "no-address", f"this node listens on no UDP address of {family}")


def contact(new: NewBinding) -> ContactItem:
    """Read a contact to bind; `ValueError` says what is wrong."""
    example = "write sip:alice@127.0.0.1:5062"
    raw = new.contact.encode("utf-8", "surrogateescape")
    if len(raw) > LONGEST:
        raise ValueError(f"a contact has at most {LONGEST} bytes")
    try:
        uri = parse_uri(raw)
    except SipError as error:
        raise ValueError(f"the contact is no SIP URI ({error}); {example}") from None
    if uri.scheme != "sip" or uri.headers or uri.params.get("transport", "udp").lower() != "udp":
        raise ValueError(f"the contact must be a sip: URI over UDP; {example}")
    if not MIN_EXPIRES <= new.expires <= MAX_EXPIRES:
        raise ValueError(f"expires is {MIN_EXPIRES} to {MAX_EXPIRES} seconds")
    return ContactItem(
        uri=raw,
        user=uri.user or "",
        host=_address(uri, example),
        port=uri.port,
        expires=new.expires,
        q=1.0,
        instance="",
        reg_id=0,
        params=(),
    )


def is_own(host: str, port: int, addresses: tuple[str, ...]) -> bool:
    """Tell whether a node that listens at `addresses` (`udp://HOST:PORT`) is itself at this UDP address."""
    found = [values.listen(text) for text in addresses]
    hosts = {one.host for one in found if one.transport == values.Transport.UDP and one.port == port}
    return host in hosts or (bool(hosts & EVERYWHERE) and _is_of_this_machine(host))


def _is_of_this_machine(host: str) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True


def _address(uri: Uri, example: str) -> str:
    try:
        address = ip_address(uri.host)
    except ValueError:
        raise ValueError(f"the contact's host must be an IP address; {example}") from None
    scoped = isinstance(address, IPv6Address) and address.scope_id
    if address.is_multicast or address.is_unspecified or scoped or uri.port == 0:
        raise ValueError(f"no phone is at {uri.host}; {example}")
    return str(address)
