"""The typed messages that actors exchange, one file per receiving actor."""
