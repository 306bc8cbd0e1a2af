"""Shadows: which statements meet another data source in place of their own."""
