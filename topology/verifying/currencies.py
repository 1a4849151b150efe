"""The identity of open currency positions: what an entity holds in a currency is what its accounts hold there.

Assumes: `exact_arithmetic()` around it. Looked at only where the stage has applied all balances that were told.
"""

from agents import cash, currency_position
from agents.cash import scan_balances
from agents.currency_position import CurrencyState
from domain.currency_exposure import Held
from schemas.numbers import ZERO
from topology.catching_up import behind_of
from topology.log_reading import WholeLog, table_partition
from topology.settings import Settings
from topology.verifying.checks import Check, Step

_NOTHING = Held(ZERO, ZERO)


def check_currencies(log: WholeLog, partitions: int, step: Step) -> list[Check]:
    """Exposures against the balances of cash; of a log that was made without them, none."""
    check = Check("exposures", "an entity's exposure in a currency = the sum of its accounts' balances")
    stages = (cash.stage(), currency_position.stage())
    if not {stage.changelog for stage in stages} <= set(log.topics()):
        return []
    if any(behind_of(log, stage, partitions) for stage in stages):
        return [check]
    sums: dict[tuple[str, str], Held] = {}
    for partition in range(partitions):
        for (entity, _, currency), balance in scan_balances(table_partition(log, cash.NAME, partition)):
            before = sums.get((entity, currency), _NOTHING)
            sums[entity, currency] = Held(
                before.with_pending + balance.total, before.without_pending + balance.settled
            )
        step("exposures", 1)
    reporting = Settings.model_construct().reporting_currency
    for partition in range(partitions):
        state = CurrencyState(table_partition(log, currency_position.NAME, partition), reporting)
        for entity, held in state.entities.items():
            for currency, found in held.held.items():
                expected = sums.pop((entity, currency), _NOTHING)
                where = f"{entity or '-'} {currency}"
                check.expect(f"{where}, with what is pending", expected.with_pending, found.with_pending)
                check.expect(f"{where}, settled", expected.without_pending, found.without_pending)
    for (entity, currency), left in sums.items():
        if left != _NOTHING:
            check.broken(f"{entity or '-'} {currency}", "its balances are in no exposure", left.with_pending)
    return [check]
