"""What a position is worth, by its instrument: pure rules over terms, marks, rates and columns.

`terms` reads how an instrument is priced, `money` has the exact rules of market value and unrealised P&L, `accrued` the
accrued interest of bonds, `rates` reads curves, `options` prices columns of options; a slow and
obvious model stands in the tests. Money and prices are exact decimals; what a model gives is a 64-bit float, rounded to 12 decimals where it
becomes a price.
"""
