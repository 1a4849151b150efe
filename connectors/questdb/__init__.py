"""QuestDB: bookings as a time series, for queries over long spans."""
