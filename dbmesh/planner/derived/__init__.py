"""Writes whose rows a query names first: several statements of the logic database in place of one."""
