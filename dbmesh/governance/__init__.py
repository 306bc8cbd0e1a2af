"""What the mesh agrees on: rules, users and switches in a store, and who is alive."""
