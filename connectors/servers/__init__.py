"""Real servers on this machine, from their wheels: for tests, for the demonstration, and where no others are named."""
