"""Executes bound statements: fan-out and sinks."""
