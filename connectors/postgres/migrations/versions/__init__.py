"""The revisions, in order; each can be undone."""
