"""Looking back: points of the log, checkpoints, positions as of an execution time."""
