"""A promise that was broken."""


class Violation(Exception):
    """Says which check found it, and what."""

    def __init__(self, check: str, text: str) -> None:
        super().__init__(f"{check}: {text}")
        self.check = check
