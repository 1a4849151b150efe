"""The pricing engine as its clients see it, and the bridge from the log to it."""
