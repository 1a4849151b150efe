"""A check: an identity over the state or the log, how often it was looked at, and what is left over."""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

import msgspec

from agents.stage import InvariantBroken
from domain.lots.documents import Document
from schemas.numbers import ZERO, plain

UNREADABLE = (msgspec.MsgspecError, InvariantBroken, ValueError, LookupError)
"""What is raised where a state or a log cannot be read."""

FINDINGS_MAX = 20
"""Most findings of a check that are told; the residual counts all."""

Step = Callable[[str, int], None]
"""Called with the name of what is checked now, and how much more of it is done."""


@dataclass(slots=True)
class Check:
    """An identity, how often it was looked at, and what is left over where it does not hold."""

    name: str
    identity: str
    checked: int = 0
    residual: Decimal = ZERO
    findings: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the identity holds everywhere."""
        return not self.residual and not self.findings

    def expect(self, where: str, expected: Decimal | int, found: Decimal | int) -> None:
        """Two numbers that must be equal."""
        self.checked += 1
        if expected != found:
            self.residual += abs(Decimal(found) - Decimal(expected))
            self.tell(f"{where}: expected {expected}, found {found}")

    def broken(self, where: str, fault: str, residual: Decimal | int = 1) -> None:
        """Something that must not be."""
        self.residual += abs(Decimal(residual))
        self.tell(f"{where}: {fault}")

    def tell(self, finding: str) -> None:
        """Keep a finding, within the bound."""
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(finding)

    def document(self) -> Document:
        """As `pks verify` prints it."""
        return {
            "name": self.name,
            "identity": self.identity,
            "checked": self.checked,
            "residual": plain(self.residual),
            "ok": self.ok,
            "findings": self.findings,
        }
