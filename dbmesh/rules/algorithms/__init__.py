"""Sharding algorithms, one file each."""
