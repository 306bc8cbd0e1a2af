"""Configuration files to rule sets, and the sharding arithmetic. ShardingSphere's format and placement."""
