"""One measured figure."""

import msgspec


class Row(msgspec.Struct, omit_defaults=True):
    """A figure and its reference, both in `unit`; `ratio` is their quotient.

    `cpu_us` is processor time a fill in microseconds, all threads together: it is steadier than a rate where
    others use the machine too. No value where the figure could not be measured: `note` says why.
    """

    name: str
    value: float | None
    unit: str
    reference: float | None = None
    reference_name: str = ""
    cpu_us: float | None = None
    higher_is_better: bool = True
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """The figure over its reference."""
        return None if self.value is None or not self.reference else self.value / self.reference
