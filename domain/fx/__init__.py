"""Money of one currency in another: which rate holds, how it is found, and what it is rounded to.

`FxTable` keeps the newest rate of each pair and finds others through a declared pivot; `domain.fx.table` says how.
"""

from domain.fx.table import Conversion, FxTable, MissingRate, Way, convert

__all__ = ["Conversion", "FxTable", "MissingRate", "Way", "convert"]
