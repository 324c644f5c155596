"""The web console: what the nodes of a network do, in a browser; it knows them by their admin interfaces only."""
