"""Neighbours, the links to them, and everything that goes over links: mail in custody, talk of Routers, relays."""
