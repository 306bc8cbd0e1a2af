"""Statements of a database with shadow data sources: which side each belongs to, and how it gets there."""
