"""Servers that are no stages: they own no books, and answer whoever asks."""
