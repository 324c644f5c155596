"""Lists of users, as an operator asks for them."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from actors.client_manager.core import Core
from actors.messages.client_manager import ListUsers, UserInfo, UsersListed
from actors.model import UserName
from actors.state.client_registry import UserRecord

LOOKED_AT = 20_000
"""Users that one question looks at: all else on this thread waits meanwhile, some 10 ms."""


def answer(core: Core, question: ListUsers) -> None:
    """List users by name."""
    users, reached = _chosen(core, question)
    absent = core.registry.absent(UserName(question.name))
    if absent is not None and absent.home:
        users = [UserInfo(absent.name, absent.has_password, False, (), 0, home=absent.home)]
    question.reply_to.tell(
        UsersListed(
            request=question.request,
            users=tuple(users),
            total=len(core.registry),
            node_time=core.node_time(),
            reached=reached,
        )
    )


def _chosen(core: Core, question: ListUsers) -> tuple[list[UserInfo], str]:
    if question.name or question.names:
        return list(_known(core, (UserName(question.name),) if question.name else question.names)), ""
    if not question.part and not question.online:
        return list(_known(core, core.registry.names(question.after, question.limit))), ""
    names = core.registry.names(question.after, LOOKED_AT)
    part, now = question.part.casefold(), core.node_time()
    found: list[UserName] = []
    for name in names:
        record = core.registry.get(name)
        if record is None or part not in name.casefold() or (question.online and not _online(record, now)):
            continue
        found.append(name)
        if len(found) == question.limit:
            return list(_known(core, found)), name
    return list(_known(core, found)), names[-1] if len(names) == LOOKED_AT else ""


def _known(core: Core, names: Iterable[UserName]) -> Iterable[UserInfo]:
    for name in names:
        record = core.registry.get(name)
        if record is not None:
            yield _info(core, name, record)


def _online(record: UserRecord, now: float) -> bool:
    return any(True for _ in record.bindings(now))


def _info(core: Core, name: UserName, record: UserRecord) -> UserInfo:
    devices = tuple(
        msgspec.structs.replace(device, cursor=core.deliveries.cursor(name, device))
        for device in record.devices.values()
    )
    return UserInfo(
        name=name,
        has_password=record.account.has_password,
        online=_online(record, core.node_time()),
        devices=devices,
        in_flight=core.deliveries.in_flight(name),
    )
