"""Where names live in a network, as pure decisions: ways to nodes, summaries of names, searches, and the ladder."""
