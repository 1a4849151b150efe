"""Marks: which quotes become marks, of what quality, for how long, and the bars that are made of them."""
