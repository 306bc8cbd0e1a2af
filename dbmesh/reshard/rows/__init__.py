"""Rows that move: copied, compared and made equal on both sides."""
