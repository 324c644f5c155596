"""The actors of a node: who talks to whom. No SIP and no sockets are known here."""
