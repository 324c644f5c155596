"""The history of a conversation client, in the state file of its device: one lock, one commit before each 200.

What `listen` took and kept is part of the history, and what stands in the history `listen` does not print again.
"""

from __future__ import annotations

import secrets
import time
from pathlib import Path

import msgspec

from actors.model import POSTMASTER, MessageId
from actors.state.ids import notice_id
from actors.state.notices import is_notice_id
from apps.client.chat_model import SHOWN, Contact, Line, State
from apps.client.session import TEXT, Call
from apps.client.state import StateFile

_SCHEMA = """
CREATE TABLE IF NOT EXISTS chat (
    number INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    peer TEXT NOT NULL,
    own INTEGER NOT NULL,
    at REAL NOT NULL,
    id TEXT NOT NULL,
    content_type TEXT NOT NULL,
    body BLOB NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    unread INTEGER NOT NULL DEFAULT 0,
    notice TEXT NOT NULL DEFAULT '',
    call_id TEXT NOT NULL DEFAULT '',
    tag TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS chat_peer ON chat (peer, number);
CREATE INDEX IF NOT EXISTS chat_notice ON chat (notice) WHERE notice <> '';
CREATE INDEX IF NOT EXISTS chat_open ON chat (state, number) WHERE state IN ('sending', 'accepted');
"""
_COLUMNS = "number, peer, own, at, id, content_type, body, state, reason"
_BRING_IN = """
INSERT OR IGNORE INTO chat (key, peer, own, at, id, content_type, body, state, unread)
SELECT 'in:' || id, sender, 0, at, id, content_type, body, 'received', printed = 0 FROM messages
WHERE number = ?
"""
_MISSING = "SELECT number FROM messages WHERE NOT EXISTS (SELECT 1 FROM chat WHERE key = 'in:' || messages.id)"
ATOMIC = 100
"""Messages brought in at once, at most."""


class Outgoing(msgspec.Struct, frozen=True):
    """An own message that was not answered yet, with the names that make each try the same message."""

    line: Line
    key: str
    call: Call


class ChatStore(StateFile):
    """An open state file with a history in it."""

    def __init__(self, path: Path) -> None:
        """Open or make it, and bring in what came while no chat was open; a Failure says why it cannot be used."""
        super().__init__(path)
        self._database.executescript(_SCHEMA)
        self._bring_in(_MISSING, ())

    def bring_in(self) -> list[Line]:
        """Move what was received into the history; return what is new in it, a message that failed included."""
        return self._bring_in("SELECT number FROM messages WHERE printed = 0 ORDER BY number LIMIT ?", (ATOMIC,))

    def _bring_in(self, query: str, values: tuple[int, ...]) -> list[Line]:
        numbers = [row[0] for row in self._database.execute(query, values)]
        changed: list[Line] = []
        self._database.execute("BEGIN IMMEDIATE")
        try:
            for number in numbers:
                if self._database.execute(_BRING_IN, (number,)).rowcount:
                    changed.append(self._settle(self._line("rowid = last_insert_rowid()")))
                self._database.execute("UPDATE messages SET printed = 1 WHERE number = ? AND printed = 0", (number,))
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")
        return changed

    def _settle(self, line: Line) -> Line:
        """Show a failure notice at the message it is about; return the line that changed."""
        if line.peer != POSTMASTER or not is_notice_id(MessageId(line.id)):
            return line
        about = self._find("notice = ?", line.id)
        if about is None:
            return line
        self._database.execute("DELETE FROM chat WHERE number = ?", (line.number,))
        return self.mark(about, State.FAILED, line.body.decode("utf-8", "replace"))

    def write(self, peer: str, text: str) -> Outgoing:
        """Commit an own message before it is sent."""
        key, call = secrets.token_hex(16), Call.new()
        self._database.execute(
            "INSERT INTO chat (key, peer, own, at, id, content_type, body, state, call_id, tag)"
            " VALUES (?, ?, 1, ?, '', ?, ?, 'sending', ?, ?)",
            (
                key,
                peer,
                time.time(),
                TEXT.decode(),
                text.encode("utf-8", "replace"),
                call.call_id.decode(),
                call.tag.decode(),
            ),
        )
        return Outgoing(self._line("key = ?", key), key, call)

    def unsent(self) -> list[Outgoing]:
        """Return own messages that were not answered, oldest first."""
        rows = self._database.execute(
            f"SELECT {_COLUMNS}, key, call_id, tag FROM chat WHERE state = 'sending' ORDER BY number"
        )
        return [Outgoing(_read(row[:9]), row[9], Call(row[10].encode(), row[11].encode())) for row in rows]

    def accepted(self, line: Line, message_id: str) -> Line:
        """Note a node's yes and the id it gave."""
        notice = notice_id(MessageId(message_id))
        self._database.execute(
            "UPDATE chat SET id = ?, notice = ?, state = 'accepted' WHERE number = ?",
            (message_id, notice, line.number),
        )
        early = self._find("key = ?", f"in:{notice}")  # a notice may overtake the answer
        return self._line("number = ?", line.number) if early is None else self._settle(early)

    def mark(self, line: Line, state: State, reason: str = "") -> Line:
        """Note what became of an own message; a reason already known stays if none is given."""
        self._database.execute(
            "UPDATE chat SET state = ?, reason = CASE WHEN ? = '' THEN reason ELSE ? END WHERE number = ?",
            (state.value, reason, reason, line.number),
        )
        return self._line("number = ?", line.number)

    def undecided(self, since: float, limit: int) -> list[Line]:
        """Return own messages accepted since then of which no end is known, the latest first."""
        rows = self._database.execute(
            f"SELECT {_COLUMNS} FROM chat WHERE state = 'accepted' AND at >= ? ORDER BY number DESC LIMIT ?",
            (since, limit),
        )
        return [_read(row) for row in rows]

    def conversation(self, peer: str) -> list[Line]:
        """Return the end of a conversation, oldest first, and note that it was looked at."""
        self.looked_at(peer)
        rows = self._database.execute(
            f"SELECT {_COLUMNS} FROM chat WHERE peer = ? ORDER BY number DESC LIMIT ?", (peer, SHOWN)
        ).fetchall()
        return [_read(row) for row in reversed(rows)]

    def looked_at(self, peer: str) -> None:
        """Note that all messages of somebody were seen."""
        self._database.execute("UPDATE chat SET unread = 0 WHERE peer = ? AND unread = 1", (peer,))

    def contacts(self) -> list[Contact]:
        """Return all with whom something was said."""
        rows = self._database.execute("SELECT peer, sum(unread), max(at) FROM chat GROUP BY peer")
        return [Contact(*row) for row in rows]

    def _line(self, where: str, *values: object) -> Line:
        found = self._find(where, *values)
        assert found is not None, where
        return found

    def _find(self, where: str, *values: object) -> Line | None:
        row = self._database.execute(f"SELECT {_COLUMNS} FROM chat WHERE {where}", values).fetchone()
        return None if row is None else _read(row)


def _read(row: tuple[int, str, int, float, str, str, bytes, str, str]) -> Line:
    number, peer, own, at, id_, content_type, body, state, reason = row
    return Line(number, peer, bool(own), at, id_, content_type, body, State(state), reason)
