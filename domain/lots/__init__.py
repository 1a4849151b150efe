"""Lots: what is held, at what cost, and what each close realised.

`position` holds the state, `matching` applies and takes back one trade, `rematch` puts late, amended and
cancelled trades in their place (`rerun` is its fast way, `outcomes` what it works on), `reference` is the slow
obvious recomputation that all of it is held against, `calculate` is the calculation behind `pks lots`.
"""
