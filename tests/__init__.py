"""The tests: the tree mirrors the source; `support` holds what they share."""
