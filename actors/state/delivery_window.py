"""The window of one device: what of its mail is on the way, and what is known to come."""

from __future__ import annotations

from actors.model import Binding, DeviceKey, Seq, StoredMessage, UserName


class Window:
    """How far delivery to one device has got. The device's cursor lives here while the node runs."""

    __slots__ = (
        "acking", "alive", "aside_due", "behind", "binding", "buffer", "cursor", "delivery", "device", "failures",
        "in_flight", "poked", "probe", "reading", "sent", "tries", "user",
    )  # fmt: skip

    def __init__(self, user: UserName, device: DeviceKey, cursor: Seq) -> None:
        self.user = user
        self.device = device
        self.cursor = cursor
        self.buffer: list[StoredMessage] = []
        self.behind = False
        """The disk has, or may have, messages behind the buffer."""
        self.reading = False
        self.aside_due = False
        """What stepped aside is to be tried again."""
        self.binding: Binding | None = None
        """Where the request under way (message or OPTIONS) went; the device may have moved on since."""
        self.in_flight: StoredMessage | None = None
        self.acking = False
        """The device has answered for good; its answer is on its way to the disk."""
        self.delivery = 0
        self.failures = 0
        self.tries = 0
        self.alive = True
        """There was a sign of life since the last unanswered try."""
        self.poked = float("-inf")
        self.sent = float("-inf")
        """When the message in flight was sent, in monotonic seconds."""
        self.probe = 0
        """The delivery number of an OPTIONS under way; 0: none."""
