"""The embedded data source: SQLite files that answer MySQL statements."""
