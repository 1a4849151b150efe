"""Every identity that must hold over the state and the log."""
