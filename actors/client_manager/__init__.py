"""ClientManager: registration, credentials, devices, and the delivery of each client's messages."""
