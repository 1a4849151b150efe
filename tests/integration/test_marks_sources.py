"""Sources of marks that are polled, against a local service: pages, tags, waiting, retries, the breaker, and old age."""

import asyncio
import gzip
import json
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from clients.python.pks_client import MarkReader
from connectors.marks import http as http_module
from connectors.marks.alor_source import AlorQuotes
from connectors.marks.http import HttpClient, retry_after_seconds
from connectors.marks.moex_source import MoexQuotes
from connectors.marks.reading import Reading
from connectors.sink import Unavailable
from domain.marks.classes import ClassRules
from tests.marks_http import Service, paged, service
from tests.support import eventually
from topology.cli.application import run
from topology.demo.stack import Stack
from topology.marks.known import known_marks
from topology.marks.loader import MarkLoader
from topology.settings import Settings
from topology.sinks.status import read_statuses

ALOR = {
    "symbol": "SBER", "exchange": "MOEX", "prev_close_price": 313.49, "last_price": 314.51, "ask": 314.71,
    "last_price_timestamp": 1715603781, "bid": 314.7, "type": "CS",
}  # fmt: skip


def alor(price: str, at: int) -> bytes:
    return json.dumps([{**ALOR, "last_price": float(price), "last_price_timestamp": at}]).encode()


async def asked(client: HttpClient, *paths: str) -> list[Any]:
    await client.open()
    try:
        return [await client.get(path) for path in paths]
    finally:
        await client.close()


def quick(name: str, address: str, per_second: float = 1_000.0) -> HttpClient:
    return HttpClient(name, address, requests_per_second=per_second)


# -- the client ---------------------------------------------------------------------------------------------------


def test_what_has_not_changed_is_not_sent_again():
    with service(lambda path, _: path.encode()) as kept:
        first, again, other = asyncio.run(asked(quick("s", kept.address), "/a", "/a", "/b"))
    assert (first.changed, again.changed, other.changed) == (True, False, True)
    assert first.body == again.body == b"/a"
    assert [("If-None-Match" in headers) for _, _, headers in kept.asked] == [False, True, False]


def test_without_tags_an_equal_answer_counts_as_changed():
    with service(lambda *_: b"x") as kept:
        kept.tags = False
        found = asyncio.run(asked(quick("s", kept.address), "/a", "/a"))
    assert [answer.changed for answer in found] == [True, True]


def test_requests_keep_their_distance():
    with service(lambda *_: b"x") as kept:
        started = time.monotonic()
        asyncio.run(asked(quick("s", kept.address, per_second=20), *["/a"] * 5))
    assert time.monotonic() - started >= 4 / 20


def test_a_failure_that_passes_is_tried_again_and_one_that_stays_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http_module, "RETRY_SECONDS_FIRST", 0.01)
    with service(lambda *_: b"x") as kept:
        kept.statuses += [(500, {}), (502, {})]
        assert asyncio.run(asked(quick("s", kept.address), "/a"))[0].body == b"x"
        kept.statuses += [(500, {})] * 3
        with pytest.raises(Unavailable, match="s: expected an answer to /a, found HTTP status 500"):
            asyncio.run(asked(quick("s", kept.address), "/a"))
        assert len(kept.asked) == 6
        kept.statuses.append((404, {}))
        with pytest.raises(Unavailable, match="found HTTP status 404: look at the address"):
            asyncio.run(asked(quick("s", kept.address), "/a"))
    with pytest.raises(Unavailable, match=r"s: expected an answer to /a, found .*onnect"):
        asyncio.run(asked(quick("s", kept.address), "/a"))


def test_a_service_that_asks_to_wait_is_asked_no_sooner():
    async def twice(client: HttpClient) -> float:
        await client.open()
        try:
            with pytest.raises(Unavailable, match="asked to wait 1 s"):
                await client.get("/a")
            started = time.monotonic()
            await client.get("/a")
            return time.monotonic() - started
        finally:
            await client.close()

    with service(lambda *_: b"x") as kept:
        kept.statuses.append((429, {"Retry-After": "1"}))
        assert asyncio.run(twice(quick("s", kept.address))) >= 0.9


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None), ("3", 3.0), ("-1", 0.0), ("1e9", 300.0), ("nan", None), ("soon", None),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0), ("Thu, 01 Jan 1970 00:00:01 GMT", 0.0),
    ],
)  # fmt: skip
def test_how_long_a_service_may_ask_to_wait(text: str | None, seconds: float | None):
    assert retry_after_seconds(text, 10.0) == seconds


def test_an_answer_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http_module, "BODY_BYTES_MAX", 100_000)
    with service(lambda *_: b"x" * 200_000) as kept, pytest.raises(Unavailable, match="at most 100000 bytes"):
        asyncio.run(asked(quick("s", kept.address), "/a"))


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http_module, "KEPT_MAX", 2)
    with service(lambda path, _: path.encode()) as kept:
        found = asyncio.run(asked(quick("s", kept.address), "/a", "/b", "/c", "/a", "/c"))
    assert [answer.changed for answer in found] == [True, True, True, True, False]


# -- the services, with what was recorded of them -------------------------------------------------------------------


async def polled(source: Any, times: int = 1) -> list[tuple[list[Any], Reading]]:
    await source.open()
    try:
        found = []
        for _ in range(times):
            reading = Reading(source.name)
            found.append((list(await source.poll(reading, time.time_ns())), reading))
        return found
    finally:
        await source.close()


@pytest.mark.tapes
@pytest.mark.parametrize("place", ["stock/shares", "stock/shares/TQBR"])
def test_a_market_of_moex_page_by_page(tapes: Path, place: str):
    document = json.loads(gzip.decompress((tapes / "moex_iss/shares.json.gz").read_bytes()))
    if place.endswith("TQBR"):
        for block in ("securities", "marketdata"):
            column = document[block]["columns"].index("BOARDID")
            document[block]["data"] = [row for row in document[block]["data"] if row[column] == "TQBR"]
    with service(lambda _, parameters: paged(document, 100, parameters)) as kept:
        source = MoexQuotes(kept.address, [place], [], 60)
        source.client._seconds_between = 0.0
        (quotes, reading), (again, _) = asyncio.run(polled(source, 2))
    number = len(document["securities"]["data"])
    assert len(quotes) == {696: 439, 247: 247}[number] and reading.counts.read == number
    [gazprom] = [quote for quote in quotes if quote.instrument == "GAZP.MOEX"]
    assert gazprom.price == Decimal("162.01")
    pages = -(-number // 100)
    board = "/boards/TQBR" if place.endswith("TQBR") else ""
    assert kept.paths() == [f"/iss/engines/stock/markets/shares{board}/securities.json"] * 2 * pages
    assert [parameters.get("start", "0") for _, parameters, _ in kept.asked][:pages] == [
        str(100 * page) for page in range(pages)
    ]
    # The second time nothing had changed, page for page.
    assert again == [] and source.client.unchanged == pages


@pytest.mark.tapes
def test_quotes_of_alor_as_recorded(tapes: Path):
    recorded = (tapes / "alor/examples/Symbols_Simple.json").read_bytes()
    with service(lambda *_: recorded) as kept:
        [(quotes, _)] = asyncio.run(polled(AlorQuotes(kept.address, ["MOEX:SBER"], 5)))
    assert kept.paths() == ["/md/v2/Securities/MOEX:SBER/quotes"]
    [quote] = quotes
    assert (quote.instrument, quote.price, quote.bid) == ("SBER.MOEX", Decimal("314.51"), Decimal("314.7"))
    assert quote.observed_at > quote.event_time


def test_symbols_are_asked_for_some_at_a_time():
    symbols = [f"MOEX:S{number}" for number in range(250)]
    with service(lambda *_: b"[]") as kept:
        source = AlorQuotes(kept.address, symbols, 5)
        source.client._seconds_between = 0.0
        asyncio.run(polled(source))
    assert [path.count("MOEX:") for path in kept.paths()] == [100, 100, 50]


def test_an_access_token_is_asked_for_and_renewed_when_it_is_taken_no_more(tmp_path: Path):
    (tmp_path / "token").write_text("refresh\n")
    given = iter(["one", "two"])

    def answer(path: str, parameters: dict[str, str]) -> bytes:
        if path == "/refresh":
            assert parameters == {"token": "refresh"}
            return json.dumps({"AccessToken": next(given)}).encode()
        return alor("1", 1715603781)

    with service(answer) as kept:
        kept.tags = False
        source = AlorQuotes(
            kept.address, ["MOEX:SBER"], 5, authority=kept.address, token_file=tmp_path / "token"
        )

        async def scenario() -> None:
            await source.open()
            await source.poll(Reading("r"), 1)
            kept.statuses.append((401, {}))
            await source.poll(Reading("r"), 1)
            await source.close()

        asyncio.run(scenario())
    shown = [headers.get("Authorization") for path, _, headers in kept.asked if path != "/refresh"]
    assert shown == ["Bearer one", "Bearer one", "Bearer two"]


@pytest.mark.parametrize("body", [b"<html>", b"{", b'{"securities": 1}'])
def test_what_is_no_document_is_said(body: bytes):
    with service(lambda *_: body) as kept, pytest.raises(Unavailable, match="expected a document of ISS"):
        asyncio.run(polled(MoexQuotes(kept.address, ["stock/shares"], [], 60)))


# -- the loader ---------------------------------------------------------------------------------------------------


class Log:
    """Takes marks, unless it is told that it is away."""

    def __init__(self) -> None:
        self.marks: list[Any] = []
        self.away = False

    def append(self, marks: Any) -> None:
        if self.away:
            raise Unavailable("the worker is away")
        self.marks += marks

    def close(self) -> None:
        """Nothing to let go."""


def loaded(
    tmp_path: Path, kept: Service, log: Log, scenario: Any, *, stale: float = 3_600.0, known: Any = ()
) -> MarkLoader:
    async def run_it() -> MarkLoader:
        source = AlorQuotes(kept.address, ["MOEX:SBER"], 0.02)
        source.client._seconds_between = 0.0
        loader = MarkLoader(source, log, ClassRules({"*": stale}), tmp_path, time.time_ns, known)
        (tmp_path / "sinks").mkdir(exist_ok=True)
        running = asyncio.create_task(loader.run())
        await asyncio.to_thread(scenario, loader)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return loader

    return asyncio.run(run_it())


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("topology.marks.loader.SWEEP_SECONDS", 0.02)
    monkeypatch.setattr("topology.marks.loader.APPEND_RETRY_SECONDS", 0.02)
    monkeypatch.setattr("topology.sinks.sessions.RETRY_SECONDS_MAX", 0.05)
    monkeypatch.setattr("topology.sinks.sessions.RETRY_JITTER_SECONDS", 0.01)
    monkeypatch.setattr(http_module, "RETRY_SECONDS_FIRST", 0.005)


def test_a_loader_whose_way_into_the_log_breaks_ends_and_does_not_look_alive(tmp_path: Path) -> None:
    class Broken(Log):
        def append(self, marks: Any) -> None:
            raise KeyError("nobody foresaw this")

    (tmp_path / "sinks").mkdir()
    with service(lambda *_: alor("2", int(time.time()) - 60)) as kept:
        source = AlorQuotes(kept.address, ["MOEX:SBER"], 0.02)
        loader = MarkLoader(source, Broken(), ClassRules({"*": 3_600.0}), tmp_path, time.time_ns)
        with pytest.raises(KeyError, match="nobody foresaw this"):
            asyncio.run(asyncio.wait_for(loader.run(), 60))


def test_while_the_log_is_away_the_newest_of_each_instrument_waits(tmp_path: Path, fast: None):
    prices = {"price": 1}
    log = Log()
    log.away = True

    def answer(*_: Any) -> bytes:
        prices["price"] += 1
        return alor(str(prices["price"]), int(time.time()) - 60 + prices["price"] % 60)

    def scenario(loader: MarkLoader) -> None:
        eventually(lambda: loader.complaints["conflated"] >= 5)
        assert log.marks == []
        log.away = False
        eventually(lambda: log.marks)

    with service(answer) as kept:
        loader = loaded(tmp_path, kept, log, scenario)
    assert loader.complaints["log away"] >= 1 and loader.status.written == len(log.marks)
    # What waited is handed on as one mark, the newest.
    assert log.marks[0].price > 4


def test_a_service_that_fails_opens_the_breaker_and_its_marks_grow_stale(tmp_path: Path, fast: None):
    log = Log()
    first = int(time.time())

    def scenario(loader: MarkLoader) -> None:
        eventually(lambda: log.marks)
        kept.down = True
        eventually(lambda: loader.status.state == "open")
        eventually(lambda: len(log.marks) == 2)
        kept.down = False
        eventually(lambda: loader.status.state == "running")

    with service(lambda *_: alor("5", first)) as kept:
        loader = loaded(tmp_path, kept, log, scenario, stale=2.0)
    live, stale = log.marks
    assert (live.quality, stale.quality) == ("live", "stale")
    assert (live.price, live.event_time) == (stale.price, stale.event_time)
    assert loader.complaints["grown stale"] == 1


def test_what_was_said_before_a_restart_is_not_said_again_and_grows_stale(tmp_path: Path, fast: None):
    log = Log()
    first = int(time.time())

    def scenario(loader: MarkLoader) -> None:
        eventually(lambda: loader.status.batches >= 3)
        assert log.marks == [known]
        kept.down = True
        eventually(lambda: len(log.marks) == 2)

    with service(lambda *_: alor("5", first)) as kept:
        loaded(tmp_path, kept, log, lambda loader: eventually(lambda: log.marks), stale=2.0)
        [known] = log.marks
        loaded(tmp_path, kept, log, scenario, stale=2.0, known=[known])
    assert [mark.quality for mark in log.marks] == ["live", "stale"]


def test_what_no_mark_can_be_made_of_is_counted_by_kind(tmp_path: Path, fast: None):
    log = Log()
    items = [
        {**ALOR, "last_price": 0}, {**ALOR, "symbol": "A", "last_price": -1}, {**ALOR, "symbol": "B", "bid": "NaN"},
        {**ALOR, "symbol": "C", "last_price_timestamp": int(time.time()) + 3_600}, {**ALOR, "symbol": "D"},
    ]  # fmt: skip
    with service(lambda *_: json.dumps(items).encode()) as kept:
        loader = loaded(tmp_path, kept, log, lambda loader: eventually(lambda: log.marks))
    assert {mark.instrument for mark in log.marks} == {"D.MOEX"}
    kinds = {kind: number for kind, number in loader.complaints.items() if kind.startswith("rejected")}
    assert kinds == {
        "rejected: zero": 1,
        "rejected: negative": 1,
        "rejected: number": 1,
        "rejected: future": 1,
    }
    assert loader.status.refused == 4


# -- as users run it ------------------------------------------------------------------------------------------------


def test_one_look_from_the_command_line(tmp_path: Path, monkeypatch: Any, capsys: Any):
    monkeypatch.setenv("PKS_ALOR_SYMBOLS", '["MOEX:SBER"]')
    assert run(["marks-load", "alor-marks", "--data", str(tmp_path / "data")]) == 2
    assert "expected the setting that turns it on" in capsys.readouterr().err
    assert run(["marks-load", "nobody"]) == 2
    assert (
        capsys.readouterr().err
        == "NAME: expected one of moex-marks, alor-marks, binance-marks, found 'nobody'\n"
    )
    with service(lambda *_: alor("314.51", int(time.time()))) as kept:
        monkeypatch.setenv("PKS_ALOR", kept.address)
        assert run(["marks-load", "alor-marks", "--data", str(tmp_path / "data"), "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert (document["read"], document["marks"], document["qualities"]) == (1, 1, {"live": 1})
        kept.statuses.append((403, {}))
        assert run(["marks-load", "alor-marks", "--data", str(tmp_path / "data")]) == 1
        assert "expected an answer to /md/v2/Securities/MOEX:SBER/quotes, found HTTP status 403" in (
            capsys.readouterr().err
        )


def test_a_worker_polls_what_its_settings_name(tmp_path: Path, shared_memory_name: str):
    with service(lambda *_: alor("314.51", int(time.time()))) as kept:
        stack = Stack(
            tmp_path / "data",
            0,
            shared_memory_name,
            alor=kept.address,
            alor_symbols='["MOEX:SBER"]',
            alor_seconds=0.1,
        )
        stack.start()
        try:
            reader = MarkReader(stack.addresses["shared_memory_marks"])
            mark = eventually(lambda: reader.read("SBER.MOEX"), 20)
            assert (mark.price, mark.quality, mark.live) == (Decimal("314.51"), "live", True)

            def is_told() -> bool:
                [status] = [each for each in read_statuses(stack.data) if each.name == "alor-marks"]
                return status.state == "running" and status.written >= 1

            eventually(is_told)
            # Started again, the source knows from the log what it said last.
            [known] = known_marks(Settings(data=stack.data), "alor-marks")
            assert (known.instrument, known.price) == ("SBER.MOEX", Decimal("314.51"))
            assert known_marks(Settings(data=stack.data), "moex-marks") == []
        finally:
            stack.stop()
