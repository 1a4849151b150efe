"""Pricing models: a request in, a price and its sensitivities out; no I/O, no clock, no state.

`calculate` answers requests, `fields` reads what they say, `black` and `implied` have the closed forms, `options` the
models on them; `rates` has bonds, swaps and curves, and is the one place that imports QuantLib. Model numbers are
64-bit floats; nothing here is an amount of a ledger.
"""
