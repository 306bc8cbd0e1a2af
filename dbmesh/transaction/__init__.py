"""A session's transaction across data sources."""
