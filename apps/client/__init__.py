"""What people use beside a node: a SIP client session, and the commands that send, listen and ask."""
