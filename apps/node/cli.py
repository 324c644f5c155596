"""`angarium node`: start a node and serve until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import Any

import rich_click as click

from apps.common import output
from apps.common.config import NodeConfig, load
from apps.common.exits import Exit, Failure
from apps.common.options import node_options


@click.command()
@node_options
def node(config_file: Path | None, **flags: Any) -> None:
    """Serve SIP clients: pass on their messages, and keep what waits.

    Prints one line that begins with `ready` and names the addresses, once it serves; SIGTERM stops it,
    SIGUSR1 writes where its threads stand to angarium-threads.txt.

    \b
    Exit codes: 0 stopped as asked; 2 wrong usage; 70 a fault (start it again, nothing is lost);
    78 a setting is wrong, the data folder is in use, or an address cannot be had.
    """
    loaded = load(flags, os.environ, config_file)
    config = loaded.config
    if config.supervise:
        from apps.common.process import supervise, unsupervised

        command, environ = unsupervised(sys.argv[1:])
        raise SystemExit(supervise(command, environ=environ, say=output.say))
    check_reach(config)
    serve(config, None if loaded.origins["realm"] == "default" else config.realm)


def check_reach(config: NodeConfig) -> None:
    """Refuse open mode beyond this machine unless that is wanted (78)."""
    beyond = [str(address) for address in config.listen if not address.loopback]
    if config.open and beyond and not config.open_to_network:
        raise Failure(
            f"refusing open mode on {beyond[0]}",
            why="anyone who reaches it could send and register",
            do="add users with passwords and drop --open, or say --open-to-network",
            code=Exit.CONFIG,
        )


def serve(config: NodeConfig, realm: str | None) -> None:
    """Start everything, say `ready`, wait for a signal, stop in reverse."""
    from importlib.metadata import version

    from apps.common import logs
    from apps.common.process import run
    from apps.node.admin_facts import NodeFacts, node_actors
    from apps.node.process import Threads, end_process, make_store, start, thread_dumps
    from apps.node.wiring import NodeHangs

    world = Threads()
    store = make_store(config, world.clock, realm)
    log = logs.setup(config)
    dumps = contextlib.ExitStack()
    try:
        dumps.enter_context(thread_dumps(config.log_dir or config.data))
        running = start(config, world, store, log.details)
        facts = NodeFacts(
            name=config.name,
            realm=store.open().realm,
            version=version("angarium"),
            addresses=running.addresses,
        )
        actors = node_actors(running)
        admin = _admin(config, facts, actors, log)
        try:
            admin.start()
            _advise(config, running.client_manager)
            run(_until_signal(" ".join(["ready", config.name, *running.addresses, *_admin_word(admin)])))
        finally:
            admin.stop()
            running.stop()
    except NodeHangs as error:
        end_process(str(error))
    finally:
        store.close()
        world.timers.stop()
        log.close()
        dumps.close()


def _admin(config: NodeConfig, facts: Any, actors: Any, log: Any) -> Any:
    """Make the admin interface as the settings want it."""
    from apps.common.token import open_to_others, read_token
    from apps.node.admin import AdminServer
    from apps.node.admin_api import AdminApi

    file = config.admin_token_file
    token = "" if file is None else read_token(file)
    if file is not None and (remark := open_to_others(file)):
        output.say(remark)
    api = AdminApi(facts, actors, log, token)
    return AdminServer(api.app, data=config.data, tcp=config.admin, has_token=bool(token))


def _admin_word(admin: Any) -> list[str]:
    return [f"http://{admin.address}"] if admin.address is not None else []


def _advise(config: NodeConfig, client_manager: Any) -> None:
    """Say what is better changed; and without accounts and without open mode nobody can do anything."""
    from actors.messages.client_manager import ListUsers, UsersListed
    from apps.common.advice import warnings
    from apps.node.asking import ask

    for line in warnings(config):
        output.say(line)
    listed = ask(client_manager, lambda r, n: ListUsers(reply_to=r, request=n, limit=0), UsersListed)
    if listed.total == 0 and not config.open:
        output.say(
            f"nobody has an account here yet: add one with `angarium user add NAME --data {config.data}`, "
            "or start with --open to let anyone register"
        )


async def _until_signal(ready: str) -> None:
    """Say that the node serves, once a signal would stop it cleanly, and wait for one."""
    from apps.common.process import stop_signals

    stop = asyncio.Event()
    with stop_signals(stop.set):
        print(ready, flush=True)  # noqa: T201
        await stop.wait()
