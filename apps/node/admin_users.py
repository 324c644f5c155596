"""The admin interface's paths about users: accounts, mailboxes, and users that move."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from actors.messages.client_manager import AddUser, AddUsers, CommandDone, MoveUser, RemoveUser, UserInfo
from actors.messages.storage import QueueRead, ReadQueue
from actors.model import NodeName, Seq, UserName, mailbox_queue
from actors.ref import Ref
from apps.common import users, values
from apps.node import admin_views as views
from apps.node.admin_answers import (
    Imported,
    ImportUsers,
    Mailbox,
    Move,
    Moved,
    Named,
    NewUser,
    UsersPage,
    UserView,
)
from apps.node.admin_facts import NodeReader
from apps.node.admin_guard import ApiError, check_done, flag, json_reply, number, read_body
from apps.node.admin_routes import Parameter, Route
from apps.node.asking import ask_async

MAX_PAGE = 10_000
MANY_TIMEOUT = 60.0
"""Seconds for a command about many users or messages."""
MOVE_TIMEOUT = 60.0
"""Seconds for a move: the mailbox travels. Where it was decided it goes on after that."""
NO_USER = (404, "there is no such user here")
AFTER = Parameter("after", "Begin behind this name.", default="")


class UsersApi:
    """The handlers."""

    def __init__(self, reader: NodeReader) -> None:
        """Take whom to ask."""
        self._reader = reader
        self._actors = reader.actors

    def routes(self) -> tuple[Route, ...]:
        """Name the paths."""
        return (
            Route(
                "GET",
                "/v1/users",
                self.list,
                "List users by name, a page at a time.",
                UsersPage,
                parameters=(
                    AFTER,
                    Parameter("limit", f"Users on the page, {MAX_PAGE} at most.", int, 1000),
                    Parameter("q", "Only names that hold this text, whatever the case.", default=""),
                    Parameter("online", "Only users that can be reached now.", bool, 0),
                ),
            ),
            Route(
                "POST",
                "/v1/users",
                self.add,
                "Create a user, or with `replace` set an existing one's password (then 200).",
                Named,
                201,
                NewUser,
                errors=(NO_USER, (409, "he exists already, here or at another node")),
                also=(200,),
            ),
            Route("POST", "/v1/users/import", self.add_many, "Import many users.", Imported, 200, ImportUsers),
            Route("GET", "/v1/users/{name}", self.show, "Show one user.", UserView, errors=(NO_USER,)),
            Route(
                "DELETE",
                "/v1/users/{name}",
                self.remove,
                "Remove a user; what waits for him ends, and its senders are told.",
                Named,
                errors=(NO_USER,),
            ),
            Route(
                "POST",
                "/v1/users/{name}/move",
                self.move,
                "Move a user to another node; answers when his last mail is there.",
                Moved,
                200,
                Move,
                errors=(NO_USER, (409, "the new home does not take him"), (503, "not decided, or not done yet")),
            ),
            Route(
                "GET",
                "/v1/mailboxes/{name}",
                self.mailbox,
                "List what waits for a user, oldest first.",
                Mailbox,
                parameters=(
                    Parameter("after", "Begin behind this `seq`.", int, 0),
                    Parameter("limit", "Messages in the answer, 1000 at most.", int, 100),
                    Parameter("bodies", "With the bodies, in base64.", bool, 0),
                ),
                errors=(NO_USER,),
            ),
        )

    async def list(self, request: web.Request) -> web.Response:
        """List users by name, a page at a time: `next` is the `after` of the next page, or null."""
        limit = number(request, "limit", 1000, MAX_PAGE)
        after = request.query.get("after", "")
        part, online = request.query.get("q", ""), flag(request, "online")
        found: tuple[UserView, ...] = ()
        while True:
            listed = await self._reader.users(after=after, limit=limit - len(found), part=part, online=online)
            found += tuple(views.user(info, listed.node_time) for info in listed.users)
            if len(found) >= limit or not listed.reached:
                break
            after = listed.reached  # nobody fits among those looked at so far
        return json_reply(UsersPage(found, listed.total, found[-1].name if found and len(found) >= limit else None))

    async def show(self, request: web.Request) -> web.Response:
        """Tell what is known of one user."""
        return json_reply(views.user(*await self.find(request.match_info["name"])))

    async def add(self, request: web.Request) -> web.Response:
        """Create a user, or with `replace` set an existing one's password."""
        new = await read_body(request, NewUser)
        name, md5, sha256 = self._hashed(new)

        def command(reply_to: Ref[Any], number: int) -> AddUser:
            return AddUser(reply_to, number, name, md5, sha256, new.replace)

        check_done(await ask_async(self._actors.client_manager, command, CommandDone), name)
        return json_reply(Named(name), 200 if new.replace else 201)

    async def add_many(self, request: web.Request) -> web.Response:
        """Create or replace many users in one commit."""
        items = tuple(self._hashed(new) for new in (await read_body(request, ImportUsers)).users)

        def command(reply_to: Ref[Any], number: int) -> AddUsers:
            return AddUsers(reply_to, number, items)

        check_done(await ask_async(self._actors.client_manager, command, CommandDone, MANY_TIMEOUT), "")
        return json_reply(Imported(len(items)))

    async def remove(self, request: web.Request) -> web.Response:
        """Remove a user; what waits for him ends, and its senders are told."""
        name = UserName(request.match_info["name"])

        def command(reply_to: Ref[Any], number: int) -> RemoveUser:
            return RemoveUser(reply_to, number, name)

        check_done(await ask_async(self._actors.client_manager, command, CommandDone, MANY_TIMEOUT), name)
        return json_reply(Named(views.clean(name)))

    async def move(self, request: web.Request) -> web.Response:
        """Move a user to another node; answers when his last mail is there."""
        name = UserName(request.match_info["name"])
        move = await read_body(request, Move)
        try:
            to = values.node_name(move.to)
        except ValueError as error:
            raise ApiError(400, "bad-data", str(error)) from None

        def command(reply_to: Ref[Any], number: int) -> MoveUser:
            return MoveUser(reply_to, number, name, NodeName(to))

        done = await ask_async(self._actors.client_manager, command, CommandDone, MOVE_TIMEOUT)
        if done.error in ("exists", "refused"):
            raise ApiError(409, done.error, done.detail or f"{to} does not take {name!r}")
        check_done(done, name)
        return json_reply(Moved(views.clean(name), to))

    async def mailbox(self, request: web.Request) -> web.Response:
        """List what waits for a user, oldest first; bodies only with `bodies=1`; `home`: he has moved there."""
        info, node_time = await self.find(request.match_info["name"])
        limit = number(request, "limit", 100, 1000)
        after = Seq(number(request, "after", 0, 2**62))

        def command(reply_to: Ref[Any], number: int) -> ReadQueue:
            return ReadQueue(reply_to, number, mailbox_queue(info.name), after, limit)

        read = await ask_async(self._actors.storage, command, QueueRead)
        bodies = flag(request, "bodies")
        messages = tuple(views.waiting(item, node_time, bodies) for item in read.messages)
        return json_reply(Mailbox(views.clean(info.name), messages, read.more, info.home or None))

    async def find(self, name: str) -> tuple[UserInfo, float]:
        """Return a user and the node's time; 404."""
        listed = await self._reader.users(name=name)
        if not listed.users:
            raise ApiError(404, "unknown", f"there is no user {name!r} here")
        return listed.users[0], listed.node_time

    def _hashed(self, new: NewUser) -> tuple[UserName, str, str]:
        try:
            name = users.user_name(new.name)
            if new.ha1_md5 and new.ha1_sha256:
                return UserName(name), new.ha1_md5, new.ha1_sha256
            return UserName(name), *users.hashes(name, self._reader.facts.realm, users.password(new.password))
        except ValueError as error:
            raise ApiError(400, "bad-data", str(error)) from None
