"""Stores below the Storage actor: what must outlive the process."""
