"""The way into a log: as its owner, or through the owner's socket."""
