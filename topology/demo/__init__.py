"""The demonstration: a simulated tape through a real worker that is killed once, and what became of the books."""
