"""Binlogs of a reshard job's sources: followed for rows that clients have changed."""
