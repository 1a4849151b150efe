"""What other programs use: `python/` is the package `pks-client` for strategies, `c/` the header for others."""
