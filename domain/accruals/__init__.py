"""What accrues: coupons, funding of perpetuals, interest on margin and on short sales, and what of it is to be booked."""
