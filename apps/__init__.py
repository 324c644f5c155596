"""The programs: node, client and monitor; the only place where things are put together."""
