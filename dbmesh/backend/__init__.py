"""Connections to data sources and their pools."""
