"""Routers beside the default one, and the base that makes one's own a matter of one method."""
