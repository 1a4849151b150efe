"""NATS JetStream: what PKS publishes, and what other systems send."""
