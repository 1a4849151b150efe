"""Bonds, swaps, curves and credit value adjustment through QuantLib, behind pure inputs and outputs.

The one place that imports QuantLib. Its evaluation date and its index fixings are global to the process: `session` sets
both for each request and takes both back, so that no answer depends on the requests before it.
"""
