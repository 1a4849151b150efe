"""Sinks: consumers of the log that write into outside systems, each in a process of its own beside the worker."""
