"""Subjects and streams: each event has one, each subject has one stream, and nothing that goes out comes in."""

import re
from decimal import Decimal
from itertools import chain

import pytest

from schemas import events, market_data, subjects, topics
from schemas.frames import wire
from schemas.subjects import FILLS_IN, PUBLISHED, STREAM_OF_TOPIC, STREAMS, class_of_subject, subject_of
from tests.golden.corpus_objects import FILES
from tests.support import ClockTick, booked

TAXONOMY = [
    "backoffice.booking.v1.TradeBooked",
    "backoffice.booking.v1.LifecycleEventApplied",
    "backoffice.booking.v1.TradeRejected",
    "bo.position.updated.v1.BOOK",
    "bo.position.valuated.v1.BOOK",
    "bo.pnl.attributed.v1",
    "md.mark.v1.BTCUSDT",
    "md.fx.v1.EUR.USD",
    "md.curve.v1.EUR-ESTR",
    "md.ohlc.v1.BTCUSDT",
    "bo.cash.ledger.v1",
    "bo.cash.balance.v1",
    "bo.cash.ocp.v1",
    "bo.cash.payment_order.v1",
    "bo.report.generated.v1",
    "bo.report.edit.v1",
    "bo.report.locked.v1",
    "bo.settlement.v1",
    "bo.recon.v1",
    "bo.ca.v1",
    "bo.collateral.v1",
    "pd.canonical",
    "backoffice.booking.in.v1.TradeBooked",
    "backoffice.dlq.booking",
    "pd.dlq.canonical",
]
DAY = 86_400


def streams_of(subject: str) -> list[str]:
    return [
        stream.name
        for stream in STREAMS
        for pattern in stream.subjects
        if re.fullmatch(
            re.escape(pattern).replace(r"\*", r"[^.]+").replace(r"\.>", r"(\..+)?").replace(">", ".+"),
            subject,
        )
    ]


@pytest.mark.parametrize("subject", TAXONOMY)
def test_every_subject_has_one_stream(subject: str):
    assert len(streams_of(subject)) == 1


def test_trades_are_kept_a_day_and_positions_a_week():
    kept = {stream.name: stream.retention_seconds for stream in STREAMS}
    assert (kept["BOOKINGS"], kept["FILLS"], kept["POSITIONS"]) == (DAY, DAY, 7 * DAY)


def test_every_stream_has_dead_letters_of_its_own():
    named = [
        stream.dead_letters for stream in STREAMS if stream.name not in ("DEAD_LETTERS", "UNDELIVERABLE")
    ]
    assert len(set(named)) == len(named)
    for name in named:
        assert name is not None
        assert streams_of(name) == ["DEAD_LETTERS"]


def test_every_published_event_has_a_subject_of_a_stream():
    topic_of: dict = {}
    for topic in PUBLISHED:
        for kind in topic.event_classes:
            topic_of.setdefault(wire(kind), topic)
    told = 0
    for event in chain.from_iterable(FILES.values()):
        topic = topic_of.get(type(event))
        if topic is None or isinstance(event, ClockTick):
            continue
        subject = subject_of(topic, event)
        assert subject is not None
        assert streams_of(subject) == [STREAM_OF_TOPIC[topic.name].name]
        assert class_of_subject(subject) is None, "what goes out comes in nowhere"
        told += 1
    assert told > 10


def test_a_tick_of_the_clock_is_told_to_nobody():
    assert subject_of(topics.BOOKINGS, ClockTick(event_id="c", event_time=1)) is None


def test_the_end_of_a_day_is_told_once():
    closed = wire(events.DayClosed)(event_id="d", book="B1", business_date="2026-01-05", event_time=1)
    assert subject_of(topics.BOOKINGS, closed) == "backoffice.booking.v1.DayClosed"
    assert subject_of(topics.POSITIONS, closed) is None


def test_a_rate_is_told_by_its_two_currencies():
    rate = wire(market_data.FxRate)(
        event_id="r", base_currency="EUR", quote_currency="U.D", event_time=1, rate=Decimal(1)
    )
    assert subject_of(topics.FX_RATES, rate) == "md.fx.v1.EUR.U%2ED"


def test_a_book_is_one_token_whatever_its_name():
    trade = wire(events.PositionUpdated)(
        event_id="p", book="a.b *", instrument="X", trade_id="t", revision=1, executed_at=0, quantity=1
    )
    assert subject_of(topics.POSITIONS, trade) == "bo.position.updated.v1.a%2Eb%20%2A"


@pytest.mark.parametrize(
    ("subject", "kind"),
    [
        (FILLS_IN, events.FillEvent),
        ("backoffice.booking.in.v1.TradeBooked", events.TradeBooked),
        ("backoffice.booking.in.v1.LifecycleEventApplied", events.LifecycleEventApplied),
        ("backoffice.booking.in.v1.FillEvent", events.FillEvent),
        ("backoffice.booking.in.v1.PositionUpdated", None),
        ("backoffice.booking.v1.TradeBooked", None),
        ("pd.canonical.more", None),
    ],
)
def test_what_comes_in_is_known_by_its_subject(subject: str, kind: type | None):
    assert class_of_subject(subject) is kind


def test_fills_are_not_published():
    assert topics.FILLS not in PUBLISHED
    assert topics.REPORTED_POSITIONS not in PUBLISHED
    assert not {topics.LEDGER_INPUT, topics.VALUATION_INPUT} & set(PUBLISHED)
    assert subjects.subject_of(topics.BOOKINGS, booked()) == "backoffice.booking.v1.TradeBooked"
