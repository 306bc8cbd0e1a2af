"""PostgreSQL data sources: MySQL statements compiled to PostgreSQL's dialect, its answers told in MySQL's terms.

What does not depend on the target (types as MySQL declares them, strict conversion of constants, scopes, reading of
CREATE TABLE, SHOW) is shared with the embedded data source.
"""
