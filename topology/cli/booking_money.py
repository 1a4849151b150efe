"""`pks cash-book`, `posting-rules`, `posting-rules-define`, `period-lock`, `payments`: what is entered into the ledger."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from topology.cli.options import DataOption, JsonOption, TransportOption, load_settings
from topology.cli.output import bad_input, print_facts, print_json, print_table, say, say_what_there_is
from topology.cli.reading_options import opened_if_made, parse_day

if TYPE_CHECKING:
    from domain.ledger.rules import Rules

payments = typer.Typer(
    no_args_is_help=True, help="Payment orders: who drafted, approved and sent what (payments list)."
)

UserOption = Annotated[str, typer.Option("--user", help="Who does it.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why, for the record.")]
OrderArgument = Annotated[str, typer.Argument(metavar="ORDER", help="The id of the payment order.")]
InputFormatOption = Annotated[
    str | None, typer.Option("--input-format", help="csv, json or jsonl, where the extension does not say.")
]


def cash_book(
    file: Annotated[str, typer.Argument(metavar="FILE", help="CSV, JSON or JSON Lines; - is stdin.")],
    input_format: InputFormatOption = None,
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Book movements of cash: deposits, dividends, coupons, fees, transfers, corrections, and what is to be paid."""
    import msgspec

    from agents.ledger_movements import is_posted
    from connectors.files.cash_movements import read_cash_movements
    from connectors.files.source import open_source
    from topology.cli.money import opened_money
    from topology.control.entry import open_entry
    from topology.importing.movements import enter, read_places
    from topology.money.documents import tables_of
    from topology.money.rules import latest_rules

    settings = load_settings(data, transport)
    found = read_cash_movements(open_source(file), time.time_ns(), input_format=input_format)
    with opened_if_made(settings) as log:
        places, rules = read_places(log), latest_rules(log)[0]
    elsewhere = [
        f"{moved.movement_id}: entity: expected {owner}, to which book {moved.book} belongs, or none, found {moved.entity!r:.80}"
        for moved in found
        if moved.entity and (owner := places.entity_of(moved.book)) and owner != moved.entity
    ]
    if elsewhere:
        bad_input(elsewhere)
    found = [
        msgspec.structs.replace(
            moved, entity=moved.entity or places.entity_of(moved.book), posting_rules=places.posting_rules
        )
        for moved in found
    ]
    with open_entry(settings) as entry:
        enter(entry, found)
    _say_what_is_rounded(found, rules)
    with opened_money(data, transport, None, None) as (log, _):
        tables = tables_of(log, "ledger")
        # An id that was booked with other content is known, and this movement refused.
        missing = [
            moved.movement_id for moved in found if not any(is_posted(table, moved) for table in tables)
        ]
    facts = {"movements": len(found), "posted": len(found) - len(missing), "refused": missing}
    if as_json:
        print_json(facts)
        return
    print_facts({**facts, "refused": ", ".join(missing) or "none"})
    if missing:
        print_facts({"why": "pks dlq list --status open"})


def _say_what_is_rounded(movements: list[Any], rules: "Rules") -> None:
    """Say which amounts the ledger holds in fewer decimals than were entered, and where the rest is."""
    from schemas.numbers import plain

    rounded = [
        moved
        for moved in movements
        if -int(moved.amount.normalize().as_tuple().exponent) > rules.scale(moved.currency)
    ]
    if rounded:
        first = rounded[0]
        say(
            f"rounded: {len(rounded):,} of {len(movements):,} amounts have more decimals than their currency's minor unit "
            f"(first {first.movement_id}: {plain(first.amount)}, {first.currency} has {rules.scale(first.currency)}); what is "
            "left over is added up by account, and the nearest whole minor unit of that is posted to the account rounding; "
            "posting rules with `scales` have finer units (pks posting-rules)"
        )


def posting_rules(as_json: JsonOption = False) -> None:
    """Print the posting rules that are built in, as a file that can be changed and defined."""
    from connectors.files.documents import read_document
    from connectors.files.source import open_source
    from topology.money.rules import STANDARD

    if as_json:
        print_json(read_document(open_source(str(STANDARD))).content)
    else:
        typer.echo(Path(STANDARD).read_text(encoding="utf-8"), nl=False)


def posting_rules_define(
    file: Annotated[str, typer.Argument(metavar="FILE", help="YAML or JSON; - is stdin.")],
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Define the next version of the chart of accounts and the posting rules; it holds for what is captured from then on."""
    from connectors.files.source import open_source
    from schemas import money, topics
    from schemas.frames import wire
    from schemas.identity import content_id
    from schemas.times import Nanoseconds
    from topology.control.entry import open_entry
    from topology.money.rules import latest_rules, rules_of_file

    settings = load_settings(data, transport)
    source = open_source(file)
    with opened_if_made(settings) as log:
        before, known = latest_rules(log)
    rules, definition = rules_of_file(source, before)
    if definition == known:
        facts: dict[str, Any] = {"version": before.version, "defined": False}
    else:
        event = wire(money.PostingRules)(
            event_id=content_id("posting rules", str(rules.version), definition),
            version=rules.version,
            definition=definition,
            event_time=Nanoseconds(time.time_ns()),
            source="pks posting-rules-define",
        )
        with open_entry(settings) as entry:
            entry.publish(topics.POSTING_RULES, [event], topics.POSTING_RULES.key_of)
        facts = {"version": rules.version, "defined": True}
    facts |= {"accounts": len(rules.accounts), "classes": len(rules.classes)}
    print_json(facts) if as_json else print_facts(facts)


def period_lock(
    through: Annotated[str, typer.Argument(metavar="YYYY-MM-DD", help="The last day that is closed.")],
    user: UserOption,
    entity: Annotated[str, typer.Option("--entity", help="Whose books; none is an entity too.")] = "",
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Close the books of an entity up to a day (an earlier one opens them again): what comes later counts in the next open day, or is refused."""
    from pydantic import ValidationError

    from schemas import money, topics
    from schemas.frames import to_wire
    from schemas.times import Nanoseconds
    from topology.control.entry import open_entry

    now = time.time_ns()
    try:
        event = money.PeriodLocked(
            event_id=f"lock:{entity}:{through}:{now}",
            through=through,
            user=user,
            entity=entity,
            event_time=Nanoseconds(now),
            source="pks period-lock",
        )
    except ValidationError as error:
        faults = error.errors(include_url=False)
        bad_input(f"{fault['loc'][0]}: {fault['msg']}, found {fault['input']!r:.80}" for fault in faults)
    with open_entry(load_settings(data, transport)) as entry:
        entry.publish(topics.LEDGER_INPUT, [to_wire(event)], topics.LEDGER_INPUT.key_of)
    facts = {"entity": entity, "locked_through": through}
    print_json(facts) if as_json else print_facts(facts)


@payments.command("list")
def list_payments(
    state: Annotated[str | None, typer.Option("--state", help="Those in this state only.")] = None,
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show payment orders as they stand."""
    from schemas.units import PaymentState
    from topology.cli.money import opened_money
    from topology.money.documents import payment_documents

    if state is not None and state not in tuple(PaymentState):
        bad_input([f"--state: expected one of {', '.join(PaymentState)}, found {state!r:.80}"])
    with opened_money(data, transport, None, None) as (log, _):
        found = [order for order in payment_documents(log) if state is None or order["state"] == state]
    if as_json:
        print_json({"payments": found})
        return
    names = ("order_id", "state", "entity", "amount", "currency", "counterparty", "settlement_date")
    who = ("drafted_by", "approved_by")
    print_table(
        "Payment orders",
        tuple(name.replace("_", " ") for name in (*names, *who)),
        ([str(order[name] or "-") for name in (*names, *who)] for order in found),
    )


@payments.command("draft")
def draft_payments(
    day: Annotated[
        str,
        typer.Option("--date", metavar="YYYY-MM-DD", help="Of trades that settle up to and including it."),
    ],
    user: UserOption,
    book: Annotated[str | None, typer.Option("--book", help="Of this book only.", show_default=False)] = None,
    data: DataOption = None,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Draft payment orders for trades that are settled by payment: those with a counterparty and no venue. Again, it drafts none."""
    from schemas import topics
    from schemas.numbers import exact_arithmetic, plain
    from topology.cli.money import opened_money
    from topology.control.entry import open_entry
    from topology.documents.queries import books_document
    from topology.log_reading import partition_count
    from topology.money.documents import find_order
    from topology.money.obligations import payments_due

    until = parse_day("--date", day).isoformat()
    if not user.strip():
        bad_input([f"--user: expected who drafts them, found {user!r:.80}"])
    settings = load_settings(data, transport)
    with opened_money(data, transport, None, None) as (log, _), exact_arithmetic():
        due = list(payments_due(log, until, user, time.time_ns(), book))
        if book is not None and not due:
            there = {each["book"] for each in books_document(log, partition_count(log))}
            if book not in there:
                say_what_there_is(f"book {book!r:.80}", there)
    if due:
        with open_entry(settings) as entry:
            entry.publish(topics.LEDGER_INPUT, due, topics.LEDGER_INPUT.key_of)
            entry.gate.settle()
    with opened_money(data, transport, None, None) as (log, _):
        orders = [order for each in due if (order := find_order(log, each.order_id)) is not None]
    names = ("order_id", "amount", "currency", "counterparty", "settlement_date", "book", "obligation_id")
    drafted = [
        {
            name: plain(value) if name == "amount" else value
            for name in names
            for value in [getattr(order, name)]
        }
        for order in orders
    ]
    if as_json:
        print_json({"drafted": len(drafted), "payments": drafted})
        return
    print_table(
        "Drafted", tuple(name.replace("_", " ") for name in names), ([*each.values()] for each in drafted)
    )


def _step(step: str, order_id: str, user: str, reason: str, data: Any, transport: Any, as_json: bool) -> None:
    from domain.ledger.payments import step_fault
    from schemas import money, topics
    from schemas.frames import wire
    from schemas.identity import content_id
    from schemas.times import Nanoseconds
    from schemas.units import PaymentStep
    from topology.cli.money import opened_money
    from topology.control.entry import open_entry
    from topology.money.documents import find_order

    wanted = PaymentStep(step)
    with opened_money(data, transport, None, None) as (log, _):
        order = find_order(log, order_id)
    if order is None:
        bad_input([f"ORDER: expected a payment order of this log, found {order_id!r:.80}"])
    fault = step_fault(order, wanted, user)
    if fault is not None:
        name, expected, found = fault
        bad_input([f"{name}: expected {expected}, found {found!r:.80}"])
    event = wire(money.PaymentInstruction)(
        event_id=content_id("payment step", order_id, step, str(order.revision)),
        order_id=order_id,
        step=wanted,
        user=user,
        entity=order.entity,
        reason=reason,
        event_time=Nanoseconds(time.time_ns()),
        source=f"pks payments {step}",
    )
    with open_entry(load_settings(data, transport)) as entry:
        entry.publish(topics.LEDGER_INPUT, [event], topics.LEDGER_INPUT.key_of)
        entry.gate.settle()
    with opened_money(data, transport, None, None) as (log, _):
        order = find_order(log, order_id)
    facts = {"order_id": order_id, "state": None if order is None else order.state.value, "user": user}
    print_json(facts) if as_json else print_facts(facts)


_STEPS = {
    "approve": "Approve a payment order; only somebody else than who drafted it may.",
    "send": "Say that an approved payment was sent to the bank.",
    "settle": "Say that a payment has settled: what waited for it is posted.",
    "fail": "Say that a payment has failed; it may be approved and sent again, or cancelled.",
    "cancel": "Cancel a payment order that was not sent, or has failed: what waited for it is taken back.",
}


def _step_command(step: str) -> Callable[..., None]:
    def command(
        order: OrderArgument,
        user: UserOption,
        reason: ReasonOption = "",
        data: DataOption = None,
        transport: TransportOption = None,
        as_json: JsonOption = False,
    ) -> None:
        _step(step, order, user, reason, data, transport, as_json)

    return command


for _name, _help in _STEPS.items():
    payments.command(_name, help=_help)(_step_command(_name))


def register(application: typer.Typer) -> None:
    """Add the commands."""
    application.command("cash-book")(cash_book)
    application.command("posting-rules")(posting_rules)
    application.command("posting-rules-define")(posting_rules_define)
    application.command("period-lock")(period_lock)
    application.add_typer(payments, name="payments")
