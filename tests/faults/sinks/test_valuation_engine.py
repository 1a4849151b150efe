"""What only the engine can price, in a whole worker: valued by the engine, stale while it is dead, again when it is back."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from domain.pricing.calculate import price
from tests.faults.up_support import started
from tests.pricing_engine_support import running_engine
from tests.proxy import proxied
from tests.support import eventually
from topology.cli.application import run

PATIENCE_SECONDS = 60.0

TERMS = {
    "model": "american",
    "option_type": "put",
    "strike": "100",
    "expiry": "2027-01-05T12:00:00Z",
    "rate": "0.05",
    "volatility": "0.2",
}


@pytest.fixture
def port() -> Iterator[Any]:
    """A port that stays, in front of whichever engine runs."""
    target = [1]
    with proxied(lambda: target[0]) as proxy:
        yield proxy, target


def test_values_of_the_engine_through_its_death(
    port: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    proxy, target = port
    data = tmp_path / "data"

    def pks(*arguments: str) -> dict[str, Any]:
        capsys.readouterr()
        assert run([*arguments, "--data", str(data), "--json"]) == 0
        return dict(json.loads(capsys.readouterr().out))

    def row() -> dict[str, Any]:
        (found,) = (each for each in pks("valuations")["valuations"] if each["instrument"] == "PUT")
        return found

    def mark(spot: str, second: int) -> None:
        path = tmp_path / "marks.csv"
        path.write_text(f"instrument,time,price\nX,2026-01-05T12:00:{second:02d}Z,{spot}\n")
        pks("import", str(path), "--format", "csv-marks")

    def expected(spot: str, years: float) -> float:
        asked = {name: value for name, value in TERMS.items() if name != "expiry"}
        return float(price({"id": "PUT", **asked, "spot": spot, "time_to_expiry": repr(years)})["price"])

    (tmp_path / "i.json").write_text(
        json.dumps([{"instrument": "PUT", "underlying": "X", "currency": "USD", "pricing": TERMS}])
    )
    (tmp_path / "f.csv").write_text(
        "trade_id,book,instrument,side,quantity,price,currency,executed_at\n"
        "t1,B1,PUT,BUY,10,5,USD,2026-01-05T09:30:00Z\n"
    )
    with ExitStack() as stack:
        engine = stack.enter_context(running_engine(processes=1))
        target[0] = engine.port
        settings = {
            "PKS_PRICING_ENGINE": f"grpc://localhost:{proxy.port}",
            "PKS_PRICING_ENGINE_SECONDS": "1.5",
        }
        stack.enter_context(started(data, **settings))
        pks("instrument-define", str(tmp_path / "i.json"))
        pks("import", str(tmp_path / "f.csv"), "--format", "canonical")
        mark("98", 0)
        eventually(lambda: row()["valued_by"] == "engine", timeout=PATIENCE_SECONDS)
        live = row()
        assert float(live["mark"]) == pytest.approx(expected("98", 1.0), rel=1e-9)
        assert float(live["market_value"]) == pytest.approx(10 * float(live["mark"]))
        assert live["mark_quality"] == "live" and live["delta"] < 0
        engine.process.kill()
        engine.process.wait()
        target[0] = 1
        mark("90", 1)
        eventually(lambda: row()["mark_quality"] == "stale", timeout=PATIENCE_SECONDS)
        stale = row()
        assert stale["market_value"] == live["market_value"]
        assert stale["reason"].startswith("the pricing engine does not answer")
        again = stack.enter_context(running_engine(processes=1))
        target[0] = again.port
        eventually(lambda: row()["mark_quality"] == "live", timeout=PATIENCE_SECONDS)
        years = 1.0 - 1.0 / (365 * 86_400)
        assert float(row()["mark"]) == pytest.approx(expected("90", years), rel=1e-9)
        assert row()["reason"] == ""
