"""What faults of sinks are tried on: books that are stepped on all the while, and that know what their log has."""

from collections.abc import Callable

from schemas import topics
from schemas.units import Action
from tests.support import Books, eventually, fill


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

    def until(self, predicate: Callable[[], object]) -> None:
        """Book on until something is true, no faster than a sink in a thread beside can follow: all of it is read back."""

        def stepped() -> object:
            self.step()
            return predicate()

        eventually(stepped, 60)

    def logged(self) -> int:
        return len(self.books.events(topics.BOOKINGS))
