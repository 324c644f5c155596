"""The node: settings in, actors put together, served until it is stopped."""
