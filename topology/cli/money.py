"""`pks ledger`, `pks cash`, `pks ledger-hash`: the transfers of the ledger and the balances of cash."""

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from topology.cli.options import DataOption, JsonOption, TransportOption, load_settings
from topology.cli.output import (
    bad_input,
    console,
    print_facts,
    print_json,
    print_table,
    say,
    say_what_there_is,
    shorten,
)
from topology.cli.reading import print_json_list
from topology.cli.reading_options import (
    AsOfOption,
    BookOption,
    InstrumentOption,
    KnownAtOption,
    opened_later,
    parse_day,
    parse_instant,
    parse_option_point,
)

if TYPE_CHECKING:
    from topology.log_reading import WholeLog
    from topology.money.past import Past

_WIDTH_OF_ALL = 150
"""Columns of a terminal from which on the table of the ledger has book, instrument and entity as well."""

EntityOption = Annotated[str | None, typer.Option("--entity", help="This entity only.", show_default=False)]
CurrencyOption = Annotated[
    str | None, typer.Option("--currency", help="This currency only.", show_default=False)
]


@contextlib.contextmanager
def opened_money(
    data: Path | None, transport: str | None, as_of: str | None, known_at: str | None
) -> Iterator[tuple["WholeLog", "Past | None"]]:
    """The log with ledger and cash come to its end, and the past that the options name."""
    from schemas.numbers import exact_arithmetic
    from topology.history.points import PointFault
    from topology.money.past import Past
    from topology.money.rules import standard_rules

    instant, point = parse_instant("--as-of", as_of), parse_option_point("--known-at", known_at)
    settings = load_settings(data, transport)
    with opened_later(settings, ["cash"], "posting") as log, exact_arithmetic():
        past = None
        if instant is not None or point is not None:
            past = Past(log, standard_rules(), instant, point)
        try:
            yield log, past
        except PointFault as fault:
            bad_input([f"--known-at: {fault}"])


def ledger(
    account: Annotated[
        str | None,
        typer.Option(
            "--account", help="Transfers of this account of the chart, or of this account of an entity."
        ),
    ] = None,
    entity: EntityOption = None,
    book: BookOption = None,
    instrument: InstrumentOption = None,
    currency: CurrencyOption = None,
    trade: Annotated[
        str | None, typer.Option("--trade", help="This trade or movement only.", show_default=False)
    ] = None,
    as_of: AsOfOption = None,
    known_at: KnownAtOption = None,
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the transfers of the ledger: what was debited and credited, pending and posted."""
    from topology.money.documents import entry_document, live_entries

    wanted = _WantedEntries(
        account,
        {"entity": entity, "book": book, "instrument": instrument, "currency": currency, "trade_id": trade},
    )
    with opened_money(data, transport, as_of, known_at) as (log, past):
        entries = live_entries(log) if past is None else past.entries()
        documents = (entry_document(entry) for entry in entries if wanted.shows(entry))
        if as_json:
            print_json_list("ledger", documents, {})
        else:
            _print_ledger(documents)
        wanted.say_if_none()


class _WantedEntries:
    """Which transfers are asked for, and what there was where none of them is."""

    def __init__(self, account: str | None, named: Mapping[str, str | None]) -> None:
        self._account = account
        self._named = {name: value for name, value in named.items() if value is not None}
        self._there: dict[str, set[str]] = {
            name: set() for name in ("account", *self._named) if name != "trade_id"
        }
        self._found = 0

    def shows(self, entry: Any) -> bool:
        """Whether a transfer is asked for."""
        accounts = (entry.debit_account, entry.credit_account, entry.account)
        for name, names in self._there.items():
            names.update(accounts if name == "account" else [getattr(entry, name)])
        if self._account is not None and self._account not in accounts:
            return False
        if not all(getattr(entry, name) == value for name, value in self._named.items()):
            return False
        self._found += 1
        return True

    def say_if_none(self) -> None:
        """Where none was found, say which of the names is not there, and which are."""
        asked = {**({} if self._account is None else {"account": self._account}), **self._named}
        if self._found or not asked:
            return
        absent = {name: value for name, value in asked.items() if value not in self._there.get(name, ())}
        for name, value in (absent or asked).items():
            if name in self._there:
                say_what_there_is(f"{name} {value!r:.80}", self._there[name])
            else:
                say(f"nothing found: trade or movement {value!r:.80}")


def _print_ledger(documents: Iterable[Mapping[str, Any]]) -> None:
    from schemas.units import EntryStatus

    # Whose they are stands where there is room for it.
    whose = ("entity", "book", "instrument") if console().width >= _WIDTH_OF_ALL else ()
    columns = (
        *whose,
        *("trade_id", "leg", "debit_account", "credit_account", "amount", "currency", "status", "trade_date"),
    )
    pending = False

    def rows() -> Iterator[list[Any]]:
        nonlocal pending
        for document in documents:
            pending = pending or document["status"] == EntryStatus.PENDING
            yield [*(document[name] or "-" for name in columns), document["settlement_date"]]

    print_table("Ledger", (*(name.replace("_", " ") for name in columns), "settles"), rows())
    if pending:
        say(
            "pending is what a transfer was when it was written: its settlement is a line of its own, and pks cash says what "
            "is settled"
        )


def cash(
    with_ladder: Annotated[
        bool, typer.Option("--ladder", help="What settles on each of the next ten business days as well.")
    ] = False,
    entity: EntityOption = None,
    account: Annotated[str | None, typer.Option("--account", help="This account only.")] = None,
    currency: CurrencyOption = None,
    book: BookOption = None,
    instrument: InstrumentOption = None,
    day: Annotated[
        str | None,
        typer.Option(
            "--date", metavar="YYYY-MM-DD", help="The business date of ladder and value-date balance."
        ),
    ] = None,
    as_of: AsOfOption = None,
    known_at: KnownAtOption = None,
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show balances of cash: by trade date, settled, projected, and what bears interest.

    With --book or --instrument what their transfers come to in each balance.
    """
    from agents import cash as cash_stage
    from schemas.times import format_time
    from topology.money.documents import (
        balance_documents,
        balances_of,
        latest_day,
        live_entries,
        parts_of_balances,
        tables_of,
    )

    business_date = None if day is None else parse_day("--date", day).isoformat()
    moved: dict[str, set[str]] = {"book": set(), "instrument": set()}
    with opened_money(data, transport, as_of, known_at) as (log, past):
        if book is not None or instrument is not None:
            entries = _noting(live_entries(log) if past is None else past.entries(), moved)
            balances = parts_of_balances(entries, book, instrument)
        elif past is None:
            balances = balances_of(tables_of(log, cash_stage.NAME))
        else:
            for _ in past.entries():
                pass
            balances = balances_of([past.cash_table])
        if business_date is None:
            instant = parse_instant("--as-of", as_of)
            business_date = latest_day(balances) if instant is None else format_time(instant)[:10]
            if instant is None:
                _say_if_far(business_date)
        wanted = {"entity": entity, "account": account, "currency": currency}
        found = [
            document
            for document in balance_documents(
                balances, business_date or "1970-01-01", with_ladder=with_ladder
            )
            if all(value is None or document[name] == value for name, value in wanted.items())
        ]
    if not found:
        held = {name: {names[place] for names, _ in balances} for place, name in enumerate(wanted)}
        _say_what_is_not_there({"book": book, "instrument": instrument}, moved)
        if balances:
            _say_what_is_not_there(wanted, held)
    if as_json:
        print_json({"cash": found})
    else:
        _print_cash(found, business_date, with_ladder=with_ladder)


def _noting(entries: Iterable[Any], there: Mapping[str, set[str]]) -> Iterator[Any]:
    """The entries as they are, with the names that they have noted."""
    for entry in entries:
        for name, names in there.items():
            names.add(getattr(entry, name))
        yield entry


def _say_what_is_not_there(asked: Mapping[str, str | None], there: Mapping[str, set[str]]) -> None:
    for name, value in asked.items():
        if value is not None and value not in there[name]:
            say_what_there_is(f"{name} {value!r:.80}", there[name])


def _say_if_far(business_date: str | None) -> None:
    """Say so where the newest day of the balances lies further ahead than any settlement: a year was mistyped."""
    from connectors.files.cash_movements import DAYS_AHEAD_MAX, last_day_of

    if business_date is not None and business_date > last_day_of(time.time_ns()):
        say(
            f"the newest day of the ledger is {business_date}, more than {DAYS_AHEAD_MAX} days from now, and balances are as of "
            "it: is a year mistyped? Name another day by --date YYYY-MM-DD"
        )


def _print_cash(found: Sequence[Mapping[str, Any]], business_date: str | None, *, with_ladder: bool) -> None:
    names = ("entity", "account", "currency")
    figures = ("trade_date_balance", "settled_balance", "projected_balance", "value_date_balance")
    print_table(
        f"Cash on {business_date}" if business_date else "Cash",
        (*names, *(name.replace("_", " ") for name in figures)),
        (
            [*(one[name] or "-" for name in names), *(shorten(one[name], 18) for name in figures)]
            for one in found
        ),
    )
    if with_ladder:
        steps = ("settlement_date", "amount", "balance")
        print_table(
            "What settles when",
            (*names, "settles", "amount", "balance after it"),
            (
                [*(one[name] or "-" for name in names), *(step[name] for name in steps)]
                for one in found
                for step in one["ladder"]
            ),
        )


def ledger_hash(
    as_of: AsOfOption = None,
    known_at: KnownAtOption = None,
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the ledger hash: equal where, and only where, the balances of all accounts are."""
    from agents import ledger as ledger_stage
    from topology.money.documents import hash_of, tables_of

    with opened_money(data, transport, as_of, known_at) as (log, past):
        if past is None:
            tables = tables_of(log, ledger_stage.NAME)
        else:
            for _ in past.entries():
                pass
            tables = [past.ledger_table]
        found, accounts = hash_of(tables)
    facts: dict[str, Any] = {"ledger_hash": found, "accounts": accounts}
    if as_json:
        print_json(facts)
    else:
        print_facts(facts)


def register(application: typer.Typer) -> None:
    """Add the commands."""
    application.command()(ledger)
    application.command()(cash)
    application.command("ledger-hash")(ledger_hash)
