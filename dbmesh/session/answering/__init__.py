"""How answers reach a client: relayed, merged, kept for a cursor, corrected, or as an error."""
