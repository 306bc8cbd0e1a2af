"""Columns that are stored encrypted: algorithms, keys and rules as values. Knows neither statements nor servers."""
