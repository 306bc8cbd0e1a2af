"""The one error inline expressions raise, at compile time and at evaluation."""

from __future__ import annotations


class InlineError(Exception):
    """An inline expression cannot be read or has no value. The text says why, in the operator's terms."""
