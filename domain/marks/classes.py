"""What a class of instruments allows of its marks: a price of 0, a negative one, and how long one stays live.

Owns: the rule of each class, as data. A class that is not here has the rule of `DEFAULT`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0


@dataclass(frozen=True, slots=True)
class ClassRule:
    """`stale_seconds`: a mark older than that is stale. Where `zero` is not allowed, a bid or ask of 0 is none."""

    zero: bool
    negative: bool
    stale_seconds: float


DEFAULT = ClassRule(zero=False, negative=False, stale_seconds=HOUR)

RULES: Mapping[str, ClassRule] = {
    # Quoted without a pause, all week.
    "spot": ClassRule(zero=False, negative=False, stale_seconds=MINUTE),
    "perpetual": ClassRule(zero=False, negative=False, stale_seconds=MINUTE),
    "fx": ClassRule(zero=False, negative=False, stale_seconds=5 * MINUTE),
    "spot_fx": ClassRule(zero=False, negative=False, stale_seconds=5 * MINUTE),
    "equity": ClassRule(zero=False, negative=False, stale_seconds=15 * MINUTE),
    "fund": ClassRule(zero=False, negative=False, stale_seconds=15 * MINUTE),
    # Oil was settled at -37.63 USD on 2020-04-20.
    "future": ClassRule(zero=True, negative=True, stale_seconds=15 * MINUTE),
    "spread": ClassRule(zero=True, negative=True, stale_seconds=HOUR),
    "swap": ClassRule(zero=True, negative=True, stale_seconds=DAY),
    "index": ClassRule(zero=True, negative=True, stale_seconds=15 * MINUTE),
    "rate": ClassRule(zero=True, negative=True, stale_seconds=DAY),
    # The holder need not exercise, so it is worth nothing at the least.
    "option": ClassRule(zero=True, negative=False, stale_seconds=HOUR),
    "warrant": ClassRule(zero=True, negative=False, stale_seconds=HOUR),
    "binary": ClassRule(zero=True, negative=False, stale_seconds=HOUR),
    # Most bonds are traded on few days.
    "bond": ClassRule(zero=False, negative=False, stale_seconds=DAY),
}
"""By class, in small letters."""


class ClassRules:
    """The rules with what an operator chose otherwise: `stale_seconds` by class, `*` for every class not named."""

    def __init__(self, stale_seconds: Mapping[str, float] | None = None) -> None:
        chosen = {name.lower(): seconds for name, seconds in (stale_seconds or {}).items()}
        every = chosen.pop("*", None)
        self._rules = {
            name: replace(rule, stale_seconds=chosen.get(name, every or rule.stale_seconds))
            for name, rule in {**dict.fromkeys(chosen, DEFAULT), **RULES}.items()
        }
        self._default = replace(DEFAULT, stale_seconds=every or DEFAULT.stale_seconds)

    def of(self, instrument_class: str) -> ClassRule:
        """The rule of a class."""
        return self._rules.get(instrument_class.lower(), self._default)
