"""Events, identities, units and names: what every other package agrees on. Imports nothing of ours."""
