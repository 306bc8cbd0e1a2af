"""What a reshard job is: its document, its phases, its files, and what it moves."""
