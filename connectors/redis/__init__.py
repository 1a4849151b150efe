"""Redis: the newest marks and curves, for whoever needs them now, and the tokens that were revoked."""
