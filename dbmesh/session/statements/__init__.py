"""How each kind of statement is carried out; one file per kind."""
