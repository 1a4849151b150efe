"""Positions in shared memory: the layout, the segments, and their one writer.

Readers are no part of this: they are the small package under `clients/`, and a C header beside it.
"""
