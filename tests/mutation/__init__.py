"""Mutation testing of `domain/`: small changes are made in the code, and each must make a test fail."""
