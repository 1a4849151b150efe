"""The double-entry ledger: from what positions and cash do to transfers between accounts.

`rules` reads a version of the chart of accounts and the posting rules, `currencies` and `calendars` say what the minor
units and the business days are, `posting` posts trades, `movements` cash that moves without one, `payments` is the life of a
payment order, `ledger_hash` tells whether two ledgers are equal.
"""
