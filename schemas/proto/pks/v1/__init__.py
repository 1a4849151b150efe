"""Version 1 of the messages; a field is added, never changed."""
