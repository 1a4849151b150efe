"""Formats of venues and brokers, decoded to canonical fills; `formats` lists them by name.

Each decoder is a module with `decode(paths, options) -> Decoded` (`decoding`): what it reads, what it skips and
which rules it applies stand in its docstring.
"""
