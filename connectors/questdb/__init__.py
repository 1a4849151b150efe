"""QuestDB: bookings, bars and reported positions as time series, for queries over long spans."""
