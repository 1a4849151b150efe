"""PostgreSQL: schemas and their migrations, and the sinks that write trades, positions and dead letters there."""
