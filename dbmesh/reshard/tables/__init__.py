"""Actual tables of a reshard job: making, naming and dropping them."""
