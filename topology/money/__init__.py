"""The money side of the command line: posting rules, ledger, cash and payments, read and written."""
