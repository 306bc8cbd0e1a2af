"""Statements to plans: pure, immutable, cached."""
