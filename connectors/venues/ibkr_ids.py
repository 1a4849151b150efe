"""Which trade each row of a Flex statement is, and which one a cancel takes away.

The broker's `tradeID` names a trade, not a version of it: a corrected trade comes as a cancel and a second row of
the same id. Here every version is a trade of its own, so that the second can be booked after the first is gone.
- The first version has the id as it is; a later one has its transaction's (or execution's) number behind it.
- A cancel whose trade is not in the input was booked from an earlier statement: it takes the plain id, and every
  row of that id in the input is then a later version.
- A row without id gets one of its transaction or execution number, else of its content and of how many equal rows
  stand before it in its file.

Guarantees: ids do not depend on the order of rows with different content, nor on what else the statement has, but
for what is said above about corrected trades.
"""

from collections import Counter
from dataclasses import dataclass

from connectors.venues.ibkr_trades import Execution, number_of
from schemas.identity import content_id


@dataclass(slots=True)
class Row:
    """An execution of a file, and its ids once `identify` has run."""

    path: str
    execution: Execution
    trade_id: str = ""
    original_trade_id: str | None = None

    @property
    def sequence(self) -> int:
        """What orders rows of one time: the trade's number (a cancel has that of its trade), else the line."""
        number = number_of((self.original_trade_id or self.trade_id).partition("/")[0])
        return self.execution.line if number is None else number


def identify(rows: list[Row]) -> None:
    """Fill in `trade_id` of every row, and `original_trade_id` of the cancels."""
    trades = [row for row in rows if not row.execution.cancels]
    cancels = [row for row in rows if row.execution.cancels]
    _mint(trades)
    versions: dict[str, list[Row]] = {}
    for row in trades:
        if row.execution.trade_id is not None:
            versions.setdefault(row.execution.trade_id, []).append(row)
    unnamed = []
    named: dict[str, list[Row]] = {}
    for cancel in cancels:
        name = cancel.execution.original_trade_id
        if name is None and cancel.execution.trade_id in versions:
            name = cancel.execution.trade_id
        if name is None:
            unnamed.append(cancel)
        else:
            named.setdefault(name, []).append(cancel)
    for trade_id, group in versions.items():
        for row in group:
            row.trade_id = trade_id
        _name_versions(trade_id, group, named.get(trade_id, []))
    for trade_id, found in named.items():
        for cancel in found:
            cancel.original_trade_id = cancel.original_trade_id or trade_id
    _match_unnamed(unnamed, trades, {row.original_trade_id for row in cancels if row.original_trade_id})
    for cancel in cancels:
        cancel.trade_id = f"{cancel.original_trade_id}/cancel"


def _name_versions(trade_id: str, group: list[Row], cancels: list[Row]) -> None:
    """Tell the versions of one id apart, and give each cancel the version that it takes away."""
    if not cancels:
        return
    targets = [(cancel, _version_of(cancel.execution, group)) for cancel in cancels]
    first = min(group, key=lambda row: row.execution.transaction_number).execution
    original = None if any(target is None for _, target in targets) else _version(first)
    for row in group:
        if _version(row.execution) != original:
            row.trade_id = f"{trade_id}/{_version_number(row.execution)}"
    for cancel, target in targets:
        cancel.original_trade_id = trade_id if target is None else target.trade_id


def _version_of(cancel: Execution, group: list[Row]) -> Row | None:
    """The row that a cancel takes away: by its transaction, by its content, or the last one before the cancel."""
    if cancel.original_transaction_id is not None:
        for row in group:
            if row.execution.transaction_id == cancel.original_transaction_id:
                return row
    for row in group:
        if row.execution.terms == cancel.terms:
            return row
    before = [row for row in group if 0 < row.execution.transaction_number < cancel.transaction_number]
    return max(before, key=lambda row: row.execution.transaction_number, default=None)


def _version(execution: Execution) -> object:
    return execution.transaction_id or execution.execution_id or execution.terms


def _version_number(execution: Execution) -> str:
    return execution.transaction_id or execution.execution_id or _digest(execution, 0)


def _match_unnamed(cancels: list[Row], trades: list[Row], taken: set[str]) -> None:
    """Give each cancel without a name the first trade of the same content that no other cancel takes away."""
    by_terms: dict[object, list[Row]] = {}
    if cancels:
        for row in trades:
            by_terms.setdefault(row.execution.terms, []).append(row)
    repeats: Counter[tuple[str, object]] = Counter()
    for cancel in cancels:
        execution = cancel.execution
        transaction = execution.original_transaction_id
        same = by_terms.get(execution.terms, [])
        if transaction is not None:
            exact = [row for row in same if row.execution.transaction_id == transaction]
            same = exact or same
        free = [row for row in same if row.trade_id not in taken]
        if free:
            cancel.original_trade_id = free[0].trade_id
            taken.add(free[0].trade_id)
        elif same:
            # The same cancel again, of a statement that overlaps: it says nothing new.
            cancel.original_trade_id = same[-1].trade_id
        elif transaction is not None:
            cancel.original_trade_id = f"ibkr:transaction:{transaction}"
        else:
            repeats[cancel.path, execution.terms] += 1
            digest = _digest(execution, repeats[cancel.path, execution.terms])
            cancel.original_trade_id = f"ibkr:minted:{digest}"


def _mint(trades: list[Row]) -> None:
    """Ids of rows that have none."""
    repeats: Counter[tuple[str, object]] = Counter()
    for row in trades:
        execution = row.execution
        if execution.trade_id is not None:
            continue
        if execution.transaction_id is not None:
            row.trade_id = f"ibkr:transaction:{execution.transaction_id}"
        elif execution.execution_id is not None:
            row.trade_id = f"ibkr:execution:{execution.execution_id}"
        else:
            repeats[row.path, execution.terms] += 1
            row.trade_id = f"ibkr:minted:{_digest(execution, repeats[row.path, execution.terms])}"


def _digest(execution: Execution, repeat: int) -> str:
    return content_id("trade", *(str(term) for term in execution.terms), str(repeat))
