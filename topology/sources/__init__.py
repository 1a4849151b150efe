"""Sources: what other systems send, taken into the log by a process of its own beside the worker."""
