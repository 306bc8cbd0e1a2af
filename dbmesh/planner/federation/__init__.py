"""Statements no merge makes exact: scans of each table, and the client's statement over their rows on a merge node."""
