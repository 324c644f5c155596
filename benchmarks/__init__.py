"""What a node can do, measured from outside with the load that a user's phones would make."""
