"""Ways for bytes: one file a transport, behind the protocol of `base`."""
