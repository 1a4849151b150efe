"""Marks into the log: from files, and from services that are polled."""
