"""Apache Kafka: a real broker on this machine, for tests, measurements and trials."""
