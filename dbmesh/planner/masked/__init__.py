"""Statements of users who read masked columns: rewritten before they are planned, or refused."""
