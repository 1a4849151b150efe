"""The net open position in foreign currencies and gold, by the shorthand method of the Basel framework, exact.

Source: Basel Committee on Banking Supervision, Minimum capital requirements for market risk (January 1996), part A.3,
and MAR40 of the framework in force: the greater of the sum of long and the sum of short positions, plus the net position
in gold, whatever its sign; the charge is a rate (8 %) of that.

Assumes: positions are net, by currency, and converted to the reporting currency already; `exact_arithmetic()` around it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from schemas.numbers import ZERO, plain

CAPITAL_RATE = Decimal("0.08")


@dataclass(frozen=True, slots=True)
class OpenCurrencyPosition:
    """Sums (both at least 0), the net open position and its charge, in the reporting currency."""

    sum_long: Decimal
    sum_short: Decimal
    net_open_position: Decimal
    capital_charge: Decimal

    def document(self) -> dict[str, str]:
        """As JSON has it: money as text in plain notation."""
        return {
            "sum_long": plain(self.sum_long),
            "sum_short": plain(self.sum_short),
            "net_open_position": plain(self.net_open_position),
            "capital_charge": plain(self.capital_charge),
        }


def open_currency_position(
    reporting_currency: str,
    positions: Mapping[str, Decimal],
    gold: Decimal = ZERO,
    capital_rate: Decimal = CAPITAL_RATE,
) -> OpenCurrencyPosition:
    """The open position over some currencies; one in the reporting currency itself bears no risk and is left out."""
    foreign = [amount for currency, amount in positions.items() if currency != reporting_currency]
    sum_long = sum((amount for amount in foreign if amount > 0), ZERO)
    sum_short = -sum((amount for amount in foreign if amount < 0), ZERO)
    net = max(sum_long, sum_short) + abs(gold)
    return OpenCurrencyPosition(sum_long, sum_short, net, net * capital_rate)
