"""Statements about accounts, read from the client's own text."""
