"""A node with phones in a seeded simulation: real bytes, virtual time, crashes, and an oracle that judges."""
