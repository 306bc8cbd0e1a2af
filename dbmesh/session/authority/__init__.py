"""Who may do what, and what of it a client is shown or told."""
