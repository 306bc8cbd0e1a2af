"""SQL text: fingerprints, parsing, literals, hints. Knows no rules and no tables."""
