"""Masks: what some users read in place of a column's values, as SQL over the column."""
