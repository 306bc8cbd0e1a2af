"""Statements over tables with encrypted columns: rewritten to the columns that are there, or refused."""
