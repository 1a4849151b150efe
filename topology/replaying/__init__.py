"""Replays of a log, or of files, beside the running system: their scratch state, and the certificate of one."""
