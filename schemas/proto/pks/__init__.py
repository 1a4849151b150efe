"""Package `pks` of the messages."""
