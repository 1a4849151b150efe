"""Balances of cash: what an account holds by trade date, what has settled, what settles when, what bears interest."""
