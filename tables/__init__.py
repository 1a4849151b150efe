"""Changelog-backed state: what a stage remembers, and the `Store` that it needs for that."""
