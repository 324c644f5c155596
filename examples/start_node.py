"""Start a node inside your own program, and say hello to it over UDP."""

from __future__ import annotations

import socket

from apps.common.values import listen
from apps.node.testing import running_node

HELLO = (
    "OPTIONS sip:angarium SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKhello;rport\r\n"
    "Max-Forwards: 70\r\n"
    "From: <sip:me@angarium>;tag=1\r\n"
    "To: <sip:angarium>\r\n"
    "Call-ID: hello@example\r\n"
    "CSeq: 1 OPTIONS\r\n"
    "Content-Length: 0\r\n\r\n"
)


def main() -> None:
    """Start, ask, stop."""
    with running_node() as node, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        address = listen(node.addresses[0])
        print("the node listens on", *node.addresses)
        phone.settimeout(5)
        phone.sendto(HELLO.encode(), (address.host, address.port))
        print("it says", phone.recv(2048).split(b"\r\n")[0].decode())


if __name__ == "__main__":
    main()
