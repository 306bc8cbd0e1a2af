"""Which privileges a statement needs, by its text and the names in it. What an account holds is `rules.privileges`' business."""
