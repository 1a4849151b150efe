"""A pricing engine as a real process, and a plain client of it."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from schemas.proto.pks.v1 import pricing_pb2
from tests.pricing_support import OPTION, SIMULATED_EXPOSURE

ROOT = Path(__file__).resolve().parent.parent
COMMAND = [sys.executable, "-c", "from topology.cli import main; main()"]
BYTES_MAX = 64 * 1024 * 1024


def request(identity: int | str = 1, **changes: Any) -> str:
    """An option, which takes microseconds."""
    return json.dumps({"id": identity, "model": "bsm", **OPTION, **changes})


def long_request(identity: int | str = "long", paths: int = 200_000) -> str:
    """A simulation of some seconds."""
    simulation = {"volatility": 0.01, "paths": paths, "frequency": "monthly"}
    swap = {**SIMULATED_EXPOSURE["swap"], "tenor": "8Y"}
    exposure = {**SIMULATED_EXPOSURE, "swap": swap, "simulation": simulation}
    return json.dumps({"id": identity, "model": "cva", **exposure})


@dataclass
class Engine:
    """A running engine."""

    process: "subprocess.Popen[str]"
    addresses: dict[str, Any]
    credentials: grpc.ChannelCredentials | None = None
    _channel: grpc.Channel | None = field(default=None, repr=False)

    @property
    def where(self) -> str:
        return str(self.addresses["engine"])

    @property
    def port(self) -> int:
        return int(self.where.rpartition(":")[2])

    @property
    def channel(self) -> grpc.Channel:
        if self._channel is None:
            options = [(f"grpc.max_{way}_message_length", BYTES_MAX) for way in ("send", "receive")]
            where = self.where.replace("127.0.0.1", "localhost")
            self._channel = (
                grpc.insecure_channel(where, options=options)
                if self.credentials is None
                else grpc.secure_channel(where, self.credentials, options=options)
            )
        return self._channel

    def price(self, document: str, timeout: float | None = 30.0) -> dict[str, Any]:
        """One call of one request."""
        call = self.channel.unary_unary(
            "/pks.v1.PricingEngine/Price",
            request_serializer=pricing_pb2.PriceRequest.SerializeToString,
            response_deserializer=pricing_pb2.PriceAnswer.FromString,
        )
        answer = call(pricing_pb2.PriceRequest(document=document), timeout=timeout)
        return dict(json.loads(answer.document))

    def batch(self, documents: Sequence[str], timeout: float | None = 60.0) -> list[dict[str, Any]]:
        """One call of many."""
        return self.batch_later(documents, timeout)()

    def batch_later(self, documents: Sequence[str], timeout: float | None = 60.0) -> Any:
        """One call of many, under way; call what comes back for the answers."""
        call = self.channel.unary_unary(
            "/pks.v1.PricingEngine/PriceBatch",
            request_serializer=pricing_pb2.PriceBatchRequest.SerializeToString,
            response_deserializer=pricing_pb2.PriceBatchAnswer.FromString,
        )
        requests = [pricing_pb2.PriceRequest(document=document) for document in documents]
        under_way = call.future(pricing_pb2.PriceBatchRequest(requests=requests), timeout=timeout)
        return lambda: [json.loads(answer.document) for answer in under_way.result().answers]

    def stream(self, documents: Iterator[str], timeout: float | None = 60.0) -> Iterator[dict[str, Any]]:
        """A stream."""
        call = self.channel.stream_stream(
            "/pks.v1.PricingEngine/PriceStream",
            request_serializer=pricing_pb2.PriceRequest.SerializeToString,
            response_deserializer=pricing_pb2.PriceAnswer.FromString,
        )
        requests = (pricing_pb2.PriceRequest(document=document) for document in documents)
        return (json.loads(answer.document) for answer in call(requests, timeout=timeout))

    def metric(self, name: str, **labels: str) -> float:
        """A figure of its metrics; 0 where it is not there yet."""
        text = urllib.request.urlopen(self.addresses["metrics"], timeout=10).read().decode()
        inside = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
        wanted = f"{name}{{{inside}}} " if inside else f"{name} "
        return next((float(line.split()[-1]) for line in text.splitlines() if line.startswith(wanted)), 0.0)

    def workers(self) -> list[int]:
        """The ids of its pricing processes."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(number) for number in children.read_text().split()]

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.terminate()
        return self.process.wait(30)


def environment(**settings: Any) -> dict[str, str]:
    """What an engine's process is started with."""
    given = {f"PKS_PRICING_{name.upper()}": str(value) for name, value in settings.items()}
    return {**os.environ, "PKS_PRICING_PORT": "0", "PYTHONPATH": str(ROOT), "PKS_LOG_LEVEL": "error", **given}


@contextmanager
def running_engine(credentials: grpc.ChannelCredentials | None = None, **settings: Any) -> Iterator[Engine]:
    """An engine that is ready; `settings` are those of `PKS_PRICING_...`."""
    process = subprocess.Popen(
        [*COMMAND, "pricing-engine", "--json"],
        env=environment(**{"metrics_port": 0, "processes": 2, **settings}),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    engine = None
    try:
        line = process.stdout.readline()
        assert line, f"expected an engine that is ready, found exit code {process.wait()}"
        engine = Engine(process, json.loads(line), credentials)
        yield engine
    finally:
        if engine is not None and engine._channel is not None:
            engine._channel.close()
        process.kill()
        process.communicate()
