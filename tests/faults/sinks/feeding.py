"""What faults of sinks are tried on: books that are stepped on all the while, and that know what their log has."""

from collections.abc import Callable

from schemas import topics
from schemas.units import Action
from tests.support import Books, fill


class Feeder:
    """Books fills, every seventh an amendment of the one before, and knows what the log then has."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.number = 0

    def step(self, fills: int = 10) -> None:
        found = []
        for number in range(self.number, self.number + fills):
            found.append(fill(f"t{number}", 1 + number % 5, 100, at=number))
            if number % 7 == 6:
                amended = fill(
                    f"a{number}", 2, 101, at=number, action=Action.AMEND, original_trade_id=f"t{number}"
                )
                found.append(amended)
        self.number += fills
        self.books.book(*found)

    def until(self, predicate: Callable[[], object], steps_max: int = 2_000) -> None:
        """Book on until something is true."""
        for _ in range(steps_max):
            self.step()
            if predicate():
                return
        raise AssertionError(f"expected {predicate} to come true within {steps_max} steps")

    def logged(self) -> int:
        return len(self.books.events(topics.BOOKINGS))
