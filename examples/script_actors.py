"""Run one real actor among probes that you script: here the Router, with you as everybody else."""

from __future__ import annotations

from actors.messages.monitor import CountFacts
from actors.messages.router import MessagesRouted, NamesAreOurs, RouteMessages
from actors.model import Envelope, MessageId, Proof, UserName
from actors.router import Router
from actors.testing import Probe, running


def letter_to(name: str) -> Envelope:
    """Make a message that nobody has sent."""
    return Envelope(
        id=MessageId("m-1"),
        sender=UserName("alice"),
        recipient=UserName(name),
        call_id=b"call-1",
        headers=(),
        body=b"hi",
        accepted=0.0,
        proof=Proof.OPEN,
    )


def main() -> None:
    """Tell the Router what ClientManager would, and expect what ClientManager would hear."""
    monitor, client_manager = Probe("monitor"), Probe("client_manager")
    with running(Router, monitor=monitor) as router:
        router.tell(NamesAreOurs(names=(UserName("bob"),)))
        question = (letter_to("bob"), letter_to("nobody"))
        router.serve(RouteMessages(reply_to=client_manager, request=7, envelopes=question))

        answer = client_manager.expect(MessagesRouted)
        assert answer.request == 7
        for envelope, destination in zip(question, answer.destinations, strict=True):
            print(f"{envelope.recipient}: {type(destination).__name__}")
        print("the monitor heard", monitor.expect(CountFacts).counts)


if __name__ == "__main__":
    main()
