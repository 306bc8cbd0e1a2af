"""Answers of several shards to one answer. Pure: packets in, packets out."""
