"""Files into the log."""
