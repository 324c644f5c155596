"""The commands of a SIP user: send, listen, register, unregister.

Exit codes: 0 done; 2 usage; 65 the message cannot be taken; 66 no such user; 69 the node does not answer;
75 stored but not yet delivered, or fewer messages than awaited; 77 refused; 78 the state file cannot be used.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import rich_click as click

from apps.client import admin_client, options, sending
from apps.client.exchange import Timers
from apps.client.listening import Limits, Listener
from apps.client.session import ClientSession, Refused
from apps.client.state import StateFile, default_path
from apps.client.wire import TooLarge, Unreachable
from apps.common.exits import Exit, Failure
from apps.common.output import data, say
from apps.common.process import stop_signals
from apps.common.values import Listen

TIMEOUT = 32.0
"""Seconds until a silent server counts as unreachable (Timer F of RFC 3261)."""
SECONDS = click.FloatRange(min=0, min_open=True, max=86400 * 30)
Password = Callable[[], str | None]
Work = Callable[[ClientSession], Awaitable[None]]


def timeout_option(function: options.F) -> options.F:
    """Add `--timeout` of commands that wait for one answer."""
    return click.option(
        "--timeout",
        type=SECONDS,
        default=TIMEOUT,
        show_default=True,
        metavar="S",
        help="Seconds until a silent node counts as unreachable.",
    )(function)


@click.command()
@click.option("--from", "sender", callback=options.name_of_user, required=True, metavar="NAME", help="Who sends.")
@click.option("--to", "recipient", required=True, metavar="NAME", help="Who shall get it.")
@options.via_option
@options.password_option
@click.option(
    "--wait",
    type=click.FloatRange(min=0, max=86400 * 30),
    metavar="S",
    help="Wait up to S seconds until a device acknowledged; else exit 75.",
)
@timeout_option
@admin_client.node_options
@click.argument("text")
def send(
    sender: str,
    recipient: str,
    via: Listen,
    password_stdin: bool,
    wait: float | None,
    timeout: float,
    data: Path | None,
    admin: str | None,
    text: str,
) -> None:
    """Send TEXT to a user and print the message's id.

    Exit 0: accepted, or with --wait acknowledged by a device; 75: stored but not yet delivered; 77: refused;
    69: the node does not answer; 66: no such user. With --data or --admin the wait asks the node there.
    """
    if not recipient:
        raise click.UsageError("--to needs a name")
    asker = admin_client.chosen(data, admin) if data is not None or admin is not None else None
    password = options.password_source(sender, password_stdin)
    session = ClientSession(sender, via, password=password, timers=Timers(timer_f=timeout))
    asyncio.run(_send(session, recipient, text.encode("utf-8", "surrogateescape"), timeout, wait, asker))


async def _send(
    session: ClientSession,
    recipient: str,
    body: bytes,
    timeout: float,
    wait: float | None,
    asker: admin_client.AdminClient | None,
) -> None:
    try:
        sent = await sending.deliver(session, recipient, body, timeout)
        sending.judge(sent, recipient)
        data(sent.id)
        if wait is not None:
            await sending.wait_delivered(_asker(session, asker), sent.id, wait)
        elif sys.stderr.isatty():
            say(f"accepted; follow it with: angarium where {sent.id}")
    except Unreachable as error:
        raise unreachable(session.via, error) from error
    except TooLarge as error:
        raise Failure(
            "the message is too long", why=str(error), do="use --via tcp://...", code=Exit.BAD_DATA
        ) from error
    finally:
        session.close()


def _asker(session: ClientSession, asker: admin_client.AdminClient | None) -> sending.Ask:
    """Return how to learn a message's state: from the node's admin interface if named, else over SIP."""
    if asker is None:
        return session.state_of

    async def ask(message_id: str) -> str | None:
        try:
            return str(asker.get("journeys", message_id)["state"])
        except Failure as failure:
            if failure.exit_code == Exit.UNREACHABLE:
                raise Unreachable(failure.message) from failure
            return None

    return ask


@click.command()
@options.as_option
@options.via_option
@options.password_option
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after N messages.")
@click.option("--timeout", type=SECONDS, metavar="S", help="End after S seconds; with --count too early: 75.")
@options.state_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def listen(
    user: str,
    via: Listen,
    password_stdin: bool,
    count: int | None,
    timeout: float | None,
    state: Path | None,
    as_json: bool,
) -> None:
    """Register, receive and print messages; ends on Ctrl-C or SIGTERM and deregisters.

    A message is on disk before it is answered. A line repeats only if this command itself was killed.
    """
    password = options.password_source(user, password_stdin)
    limits = Limits(count, timeout)
    file = StateFile(state or default_path(user, via))
    try:
        code = asyncio.run(_listen(user, via, password, file, as_json, limits))
    finally:
        file.close()
    if code != Exit.OK:
        sys.exit(code)


async def _listen(user: str, via: Listen, password: Password, file: StateFile, as_json: bool, limits: Limits) -> int:
    timers = Timers(timer_f=min(TIMEOUT, limits.timeout or TIMEOUT))
    listener = Listener(file, json=as_json, limits=limits)
    session = ClientSession(
        user, via, password=password, instance=file.instance, on_message=listener.take, timers=timers
    )
    with stop_signals(listener.stop):
        try:
            return await listener.run(session)
        except Unreachable as error:
            raise unreachable(via, error) from error
        except Refused as error:
            raise refused(user, error) from error
        finally:
            session.close()


@click.command()
@options.as_option
@options.via_option
@options.password_option
@click.option(
    "--expires",
    type=click.IntRange(min=1, max=2**31),
    default=3600,
    show_default=True,
    metavar="S",
    help="Seconds that the registration shall last.",
)
@timeout_option
@options.state_option
def register(user: str, via: Listen, password_stdin: bool, expires: int, timeout: float, state: Path | None) -> None:
    """Register the device that `listen` uses, and leave it registered."""

    async def work(session: ClientSession) -> None:
        granted = await session.register(expires)
        say(f"{user} is registered at {via} for {granted} s; end it with angarium unregister")

    _with_device(user, via, password_stdin, timeout, state, work)


@click.command()
@options.as_option
@options.via_option
@options.password_option
@timeout_option
@options.state_option
def unregister(user: str, via: Listen, password_stdin: bool, timeout: float, state: Path | None) -> None:
    """End the registration of the device that `listen` and `register` use; its mail waits from now on."""

    async def work(session: ClientSession) -> None:
        contacts = set(await session.bindings())
        for contact in contacts:
            await session.unregister(contact)
        say(f"{user} is not registered at {via} any more" if contacts else f"{user} was not registered here")

    _with_device(user, via, password_stdin, timeout, state, work)


def _with_device(user: str, via: Listen, password_stdin: bool, timeout: float, state: Path | None, work: Work) -> None:
    """Do something as the device of a state file."""
    password = options.password_source(user, password_stdin)
    file = StateFile(state or default_path(user, via))

    async def run() -> None:
        session = ClientSession(
            user,
            via,
            password=password,
            instance=file.instance,
            timers=Timers(timer_f=timeout),
            local_port=file.local_port,
        )
        try:
            await work(session)
            file.local_port = session.local_port
        except Unreachable as error:
            raise unreachable(via, error) from error
        except Refused as error:
            raise refused(user, error) from error
        finally:
            session.close()

    try:
        asyncio.run(run())
    finally:
        file.close()


def unreachable(via: Listen, error: Exception) -> Failure:
    """Return the Failure for a server that does not answer."""
    return Failure(
        f"no node answers at {via}", why=str(error), do="see that it runs: angarium status", code=Exit.UNREACHABLE
    )


def refused(user: str, error: Refused) -> Failure:
    """Return the Failure for a registration that was answered with something else than 2xx."""
    if error.status in (401, 407):
        return sending.not_proved(str(error))
    if error.status in (404, 604):
        return Failure(f"no such user {user!r}", why=str(error), do="angarium user add", code=Exit.NO_SUCH)
    if error.status in (408, 480) or 500 <= error.status < 600:
        return Failure("the node does not register now", why=str(error), do="try again later", code=Exit.UNREACHABLE)
    return Failure("the node refused", why=str(error), code=Exit.REFUSED)
