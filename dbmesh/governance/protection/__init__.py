"""What keeps a mesh serving when a part of it does badly, and keeps out what should not run: one file per protection."""
