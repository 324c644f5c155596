"""The border between bytes and typed messages: it knows SIP and decides nothing about mail."""
