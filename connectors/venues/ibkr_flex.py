"""`ibkr-flex`: Interactive Brokers' Flex statements in XML; every execution becomes a fill.

Fills are the `Trade` elements of level EXECUTION (or of none, where the query left the level out). Every other
record, from cash to open positions, is skipped by its name and level (`CashTransaction.DETAIL`).
- Fee: -ibCommission in its own currency, and taxes as a second fee.
- Trade id: `tradeID` as it is; without one, a minted id: of the transaction or execution where the row names it,
  else of what the row says and how often it was said before. So ids are the same in every statement.
- `BUY (Ca.)` and `SELL (Ca.)` become the CANCEL of their trade: the one that `origTradeID` names, else the one of the
  same account, symbol, side, quantity, price and time. A corrected trade keeps its `tradeID` at the broker; here
  it gets the transaction's number beside it, so that it is another trade than the one that was cancelled.
- Instrument: the symbol. Where a statement has several contracts (`conid`) of one symbol, the lowest number keeps
  it and the others carry theirs (`VUSA#12345`).
- Book: by option, else the account. Terms (multiplier, currency) stand on each fill.

Guarantees: fills come in the order of matching (time, trade number); one id with two contents is rejected, the
same row twice is a duplicate.
Assumes: a statement's trades fit in memory (a year of a busy account is some 100 MB of XML).
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from connectors.venues.decoding import BATCH_FILLS, Decoded, DecodeOptions, Known, KnownTrades, source_of
from connectors.venues.ibkr_ids import Row, identify
from connectors.venues.ibkr_trades import Execution, TradeRows
from connectors.venues.ibkr_xml import read_records
from schemas.events import FillEvent
from schemas.frames import encode_event, wire
from schemas.identity import content_id
from schemas.times import Nanoseconds
from schemas.units import Action

NAME = "ibkr-flex"
LEVEL = "EXECUTION"
_SYMBOL_CHARACTERS = 100
"""With a contract's number behind it, still an identifier."""

_Fill = wire(FillEvent)


def decode(paths: Sequence[str], options: DecodeOptions) -> Decoded:
    """The fills of the statements, in the order of matching over all of them."""

    def batches(decoded: Decoded) -> Iterator[list[FillEvent]]:
        rows = [row for path in paths for row in _rows(path, decoded)]
        _tell_contracts_apart(rows)
        identify(rows)
        rows.sort(key=lambda row: (row.execution.executed_at, row.sequence, row.trade_id))
        fills = _fills(rows, decoded, options)
        for start in range(0, len(fills), BATCH_FILLS):
            yield fills[start : start + BATCH_FILLS]

    return Decoded(batches)


def _rows(path: str, decoded: Decoded) -> Iterator[Row]:
    """The executions of one statement; everything else is counted as skipped."""
    with decoded.reading(path) as faults:
        trades = TradeRows(faults)
        for record in read_records(path, faults):
            decoded.counts.read += 1
            level = record.values.get("levelOfDetail", "")
            if record.tag != "Trade" or level not in ("", LEVEL):
                decoded.counts.skip(f"{record.tag}.{level}" if level else record.tag)
                continue
            execution = trades.read(record)
            if execution is None:
                continue
            if execution.quantity:
                yield Row(path, execution)
            else:
                decoded.counts.skip("Trade without quantity")


def _tell_contracts_apart(rows: list[Row]) -> None:
    """Give a symbol that stands for several contracts to the first of them, by number, and mark the others."""
    contracts: dict[str, set[str]] = {}
    for row in rows:
        if row.execution.contract:
            contracts.setdefault(row.execution.instrument, set()).add(row.execution.contract)
    first = {
        symbol: min(found, key=lambda contract: (len(contract), contract))
        for symbol, found in contracts.items()
        if len(found) > 1
    }
    for row in rows:
        execution = row.execution
        if execution.contract and first.get(execution.instrument, execution.contract) != execution.contract:
            instrument = f"{execution.instrument[:_SYMBOL_CHARACTERS]}#{execution.contract}"
            row.execution = dataclasses.replace(execution, instrument=instrument)


def _fills(rows: list[Row], decoded: Decoded, options: DecodeOptions) -> list[FillEvent]:
    known = KnownTrades()
    fills = []
    for row in rows:
        fill = _fill(row, options)
        verdict = known.see(fill.trade_id, fill.event_id)
        if verdict is Known.NEW:
            fills.append(fill)
        elif verdict is Known.SAME:
            decoded.counts.duplicates += 1
        else:
            expected = "one trade of this id, or the same content again"
            decoded.reject(row.path, f"line {row.execution.line}", "tradeID", expected, fill.trade_id)
    return fills


def _fill(row: Row, options: DecodeOptions) -> FillEvent:
    execution: Execution = row.execution
    content: dict[str, Any] = {
        "trade_id": row.trade_id,
        "action": Action.CANCEL if execution.cancels else Action.NEW,
        "original_trade_id": row.original_trade_id,
        "instrument": execution.instrument,
        "side": execution.side,
        "quantity": execution.quantity,
        "price": execution.price,
        "executed_at": Nanoseconds(execution.executed_at),
        "book": options.book_of(execution.instrument, execution.account, execution.account) or None,
        "fees": execution.fees,
        "venue": execution.venue,
        "account": execution.account,
        "underlying": execution.underlying,
        "instrument_class": execution.instrument_class,
        "multiplier": execution.multiplier,
        "inverse": False,
        "currency": execution.currency or None,
        "accrued_interest": execution.accrued_interest,
        "settlement_date": execution.settlement_date,
    }
    bare = encode_event(_Fill(event_id="", **content))
    return _Fill(
        event_id=content_id("fill", NAME, row.trade_id, bare.decode()),
        source=source_of(NAME, row.path),
        source_sequence=row.sequence,
        **content,
    )
