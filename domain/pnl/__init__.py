"""P&L by cause: what each Greek, carry, FX, funding and new trades explain of it, and what is left unexplained."""
