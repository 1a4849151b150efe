"""Requests a second of the pricing engine over gRPC, and what the way through it costs a single request.

A real engine, one client. Each figure stands beside the same requests answered in this process, one after the other: by the
clock, which on a busy machine says little of several processes; so the processor time of a request is told too, of the
engine with all its processes and of this process.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import grpc

from bench.row import Row
from schemas.proto.pks.v1 import pricing_pb2
from services.pricing.answering import answer
from services.pricing.server import MESSAGE_BYTES_MAX
from services.pricing.service import SERVICE

_BATCH = 10_000
_ROUNDS = 3
_SINGLE = 300

_OPTION = {
    "model": "bsm",
    "option_type": "call",
    "spot": 100,
    "rate": 0.03,
    "dividend_yield": 0.01,
    "volatility": 0.2,
    "time_to_expiry": 0.5,
}
_BOND = {
    "model": "fixed_rate_bond",
    "evaluation_date": "2026-01-05",
    "settlement_days": 1,
    "issue_date": "2020-06-15",
    "maturity_date": "2036-06-15",
    "frequency": "semiannual",
    "coupon": 0.04,
    "day_count": "ActAct(ISMA)",
    "compounding": "semiannual",
}


def _documents(count: int, terms: dict[str, Any], name: str, least: float) -> list[str]:
    """Requests that differ in one field."""
    return [json.dumps({"id": number, **terms, name: least + number / 1_000}) for number in range(count)]


def _processor_seconds(process: int) -> float:
    """What a process and its children that live have used of the processor."""
    family = [process, *map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split())]
    ticks = 0
    for each in family:
        # After the name, which may hold anything; user and system time are fields 14 and 15.
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _best(act: Callable[[], Any], rounds: int = _ROUNDS) -> float:
    """Seconds of the fastest round."""
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        act()
        found.append(time.perf_counter() - began)
    return min(found)


def run(_fills: int) -> list[Row]:
    """Batches of options and bonds, and single requests."""
    command = [sys.executable, "-m", "topology", "pricing-engine", "--port", "0", "--json"]
    environment = {**os.environ, "PKS_LOG_LEVEL": "error"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as engine:
        assert engine.stdout is not None
        try:
            where = json.loads(engine.stdout.readline())["engine"]
            options = [(f"grpc.max_{way}_message_length", MESSAGE_BYTES_MAX) for way in ("send", "receive")]
            with grpc.insecure_channel(where, options=options) as channel:
                return _measure(channel, engine.pid)
        finally:
            engine.terminate()


def _measure(channel: grpc.Channel, engine: int) -> list[Row]:
    batch = channel.unary_unary(
        f"/{SERVICE.full_name}/PriceBatch",
        request_serializer=pricing_pb2.PriceBatchRequest.SerializeToString,
        response_deserializer=pricing_pb2.PriceBatchAnswer.FromString,
    )
    single = channel.unary_unary(
        f"/{SERVICE.full_name}/Price",
        request_serializer=pricing_pb2.PriceRequest.SerializeToString,
        response_deserializer=pricing_pb2.PriceAnswer.FromString,
    )
    processors = len(os.sched_getaffinity(0))
    options = _documents(_BATCH, _OPTION, "strike", 95)
    rows = []
    for name, documents in (
        ("options", options),
        ("bonds", _documents(_BATCH // 5, _BOND, "clean_price", 99)),
    ):
        message = pricing_pb2.PriceBatchRequest(
            requests=[pricing_pb2.PriceRequest(document=document) for document in documents]
        )
        batch(message)
        used = _processor_seconds(engine)
        rate = len(documents) / _best(partial(batch, message))
        there = (_processor_seconds(engine) - used) / (_ROUNDS * len(documents)) * 1e6
        used = time.thread_time()
        here = len(documents) / _best(partial(_answer_all, documents))
        alone = (time.thread_time() - used) / (_ROUNDS * len(documents)) * 1e6
        note = (
            f"by the clock, batches of {len(documents):,}, {processors} pricing processes; {there:.0f} us of processor time a "
            f"request, {alone:.0f} us in this process"
        )
        rows.append(Row(f"pricing engine, {name}", rate, "requests/s", here, "in this process", note=note))
    seconds = [
        _best(partial(single, pricing_pb2.PriceRequest(document=document)), 1)
        for document in options[:_SINGLE]
    ]
    here = _best(partial(_answer_all, options[:_SINGLE])) / _SINGLE
    rows.append(
        Row(
            "pricing engine, one request",
            1e3 * statistics.median(seconds),
            "ms",
            1e3 * here,
            "in this process",
            higher_is_better=False,
            note="median, one after the other",
        )
    )
    return rows


def _answer_all(documents: list[str]) -> None:
    for document in documents:
        answer(document)
