"""What is wrong with an input, and where: one line a fault, all of them, within a bound."""

from dataclasses import dataclass
from typing import NoReturn

FOUND_CHARACTERS_MAX = 80
PATH_CHARACTERS_MAX = 4_096
FAULTS_MAX = 100_000
"""Most faults that are kept word by word; the others are counted."""


def escaped(text: str, characters_max: int = FOUND_CHARACTERS_MAX) -> str:
    """`text` on one line: what is not printable as an escape, cut at 80 characters or where said."""
    head = text[: characters_max + 1]
    shown = "".join(
        character
        if character.isprintable() and character != "\\"
        else character.encode("unicode_escape", "surrogatepass").decode()
        for character in head
    )
    return shown if len(shown) <= characters_max else shown[: characters_max - 1] + "…"


def shown(text: str) -> str:
    """`text` as `escaped`; in quotes where it begins or ends with a blank, which nobody would see."""
    if text[:1] != " " and text[-1:] != " ":
        return escaped(text)
    return f"'{escaped(text, FOUND_CHARACTERS_MAX - 2)}'"


@dataclass(frozen=True, slots=True)
class InputFault:
    """One fault: the file as the user named it, the place in it, the field, expected and found."""

    file: str
    place: str
    field: str
    expected: str
    found: str

    def __str__(self) -> str:
        # A path is longer than what is found in it, and of no use when cut.
        parts = (escaped(self.file, PATH_CHARACTERS_MAX), escaped(self.place), escaped(self.field))
        where = ": ".join(part for part in parts if part)
        return f"{where}: expected {self.expected}, found {shown(self.found)}"

    @property
    def number(self) -> int:
        """The line or index of its place; -1 where it is about the whole file."""
        last = self.place.rpartition(" ")[2]
        return int(last) if last.isdecimal() else -1


class InputFaults(Exception):
    """An input cannot be used. `faults` has every fault (at most `FAULTS_MAX` and a last one that counts the rest)."""

    def __init__(self, faults: list[InputFault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults[:3]))
        self.faults = faults


class FaultCollector:
    """Gathers the faults of one file, so that all of them are said at once."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._faults: list[InputFault] = []
        self._more = 0

    def __bool__(self) -> bool:
        return bool(self._faults)

    def add(self, place: str, field: str, expected: str, found: str) -> None:
        """Note a fault."""
        if len(self._faults) < FAULTS_MAX:
            self._faults.append(InputFault(self.file, place, field, expected, found))
        else:
            self._more += 1

    def sorted(self) -> list[InputFault]:
        """The faults in the order of their places, and how many more there were."""
        faults = sorted(self._faults, key=lambda fault: fault.number)
        if self._more:
            faults.append(InputFault(self.file, "", "", "a readable file", f"{self._more} more faults"))
        return faults

    def raise_if_any(self) -> None:
        """Raise InputFaults where there is a fault."""
        if self._faults:
            raise InputFaults(self.sorted())


def refuse(file: str, expected: str, found: str, *, place: str = "", field: str = "") -> NoReturn:
    """Raise InputFaults with one fault."""
    raise InputFaults([InputFault(file, place, field, expected, found)])
