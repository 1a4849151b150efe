"""Accruals of a log: what terms and rates it has, what is due by a day, what a run books."""
