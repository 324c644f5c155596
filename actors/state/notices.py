"""Failure notices to senders: from `postmaster`, one a message, never about one another (PROTOCOL 14)."""

from __future__ import annotations

from actors.model import POSTMASTER, End, Envelope, MessageId, Proof, UserName
from actors.state.ids import is_about, notice_id

PER_MINUTE = 10
_PROVED = frozenset({Proof.DIGEST, Proof.PEER, Proof.FLOW})


class NoticeDesk:
    """Decides who is told of a failure, and writes the notice. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._told: dict[UserName, list[float]] = {}

    def write(self, failed: Envelope, end: End, reason: str, now: float, wall: float) -> Envelope | None:
        """Write the notice about a failed message; None where the sender is not to be told."""
        if end is End.DELIVERED or failed.notice or failed.proof not in _PROVED or failed.sender == POSTMASTER:
            return None
        if is_about(failed, b"message/imdn") or is_about(failed, b"application/im-iscomposing"):
            return None
        if not self._allows(failed.sender, now):
            return None
        text = f"Your message to {failed.recipient} was not delivered ({end}): {reason}."
        notice = notice_id(failed.id)
        return Envelope(
            id=notice,
            sender=POSTMASTER,
            recipient=failed.sender,
            call_id=notice.encode(),
            headers=(
                (b"Content-Type", b"text/plain;charset=utf-8"),
                (b"In-Reply-To", failed.call_id),
                (b"Angarium-Notice", f"{end};id={failed.id}".encode()),
            ),
            body=text.encode("utf-8", "backslashreplace"),
            accepted=wall,
            proof=Proof.NODE,
            notice=True,
        )

    def _allows(self, sender: UserName, now: float) -> bool:
        times = [at for at in self._told.get(sender, ()) if now - at < 60]
        if len(times) >= PER_MINUTE:
            return False
        if len(self._told) > 10_000:
            self._told = {name: told for name, told in self._told.items() if now - told[-1] < 60}
        self._told[sender] = [*times, now]
        return True


def is_notice_id(message: MessageId) -> bool:
    """Tell a notice's id from a message's."""
    return message.startswith("n-")
