"""The listener: accepts, authenticates, drains."""
