"""Adapters to the world outside: one a third party, nothing shared but `schemas`."""
