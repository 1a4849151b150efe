"""The stages: one module each, a thin shell from frames to domain rules to updates and outputs."""
