"""Alerts: messages to people about dead letters, by a webhook or a Telegram-shaped endpoint."""
