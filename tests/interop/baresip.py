"""Runs baresip with a configuration of its own and speaks with it over its control port.

It sends only to a contact of its list, and shows messages only with a user interface module: `stdio`.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.faults.phones import wait_until
from tests.ports import free_port
from tests.tools import require_tool

MODULES = Path("/usr/lib/baresip/modules")


class Baresip:
    """One baresip with one account and one contact."""

    def __init__(
        self,
        folder: Path,
        user: str,
        peer: str,
        server: tuple[str, int],
        *,
        transport: str = "udp",
        password: str = "",
        sip_port: int = 0,
    ) -> None:
        program = require_tool("baresip")
        folder.mkdir(exist_ok=True)
        self._control = ("127.0.0.1", free_port())
        host, port = server
        account = f"<sip:{user}@{host}:{port};transport={transport}>;regint=60"
        # Without it baresip registers over TCP and sends over UDP: it drops the parameters of a contact's URI.
        account += f';outbound="sip:{host}:{port};transport={transport}"'
        if password:
            account += f";auth_user={user};auth_pass={password}"
        (folder / "accounts").write_text(account + "\n")
        (folder / "contacts").write_text(f'"{peer}" <sip:{peer}@{host}:{port};transport={transport}>\n')
        (folder / "config").write_text(
            f"sip_listen 127.0.0.1:{sip_port}\nmodule_path {MODULES}\nmodule stdio.so\n"
            "module_app account.so\nmodule_app contact.so\nmodule_app menu.so\nmodule ctrl_tcp.so\n"
            f"ctrl_tcp_listen {self._control[0]}:{self._control[1]}\n"
        )
        self._path = folder / "out"
        self._out = self._path.open("ab")
        self._process = subprocess.Popen(
            [program, "-4", "-f", str(folder)],
            stdin=subprocess.PIPE,
            stdout=self._out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TERM": "dumb", "HOME": str(folder)},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.quit()
        self._out.close()

    @property
    def said(self) -> str:
        """All it printed so far."""
        return self._path.read_text(errors="replace")

    def wait_for(self, text: str, within: float = 40.0) -> None:
        """Wait until it printed `text`."""
        assert wait_until(lambda: text in self.said, within), f"no {text!r} in:\n{self.said}"

    def registered(self) -> Self:
        """Wait until its registration was answered 200."""
        self.wait_for("200 OK")
        return self

    def message(self, text: str) -> None:
        """Send a text to its contact."""
        answer = self._command("message", text)
        assert answer["ok"], answer

    def quit(self) -> None:
        """End it by SIGTERM, so that it deregisters."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def kill(self) -> None:
        """End it without a word to anybody."""
        self._process.kill()
        self._process.wait(5)

    def _command(self, name: str, params: str) -> Any:
        """Send one command as a netstring of JSON; return the answer, events that come before it are skipped."""
        with socket.create_connection(self._control, 5) as sock, sock.makefile("rb") as stream:
            text = json.dumps({"command": name, "params": params, "token": "test"}).encode()
            sock.sendall(b"%d:%s," % (len(text), text))
            while True:
                size = b""
                while not size.endswith(b":"):
                    size += stream.read(1)
                page = json.loads(stream.read(int(size[:-1])))
                stream.read(1)
                if page.get("response"):
                    return page
