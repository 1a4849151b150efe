"""The pricing engine as a real server: what it answers, how it ends, and what it does when its processes die."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from domain.pricing.calculate import price
from tests.kafka_certificates import Authority
from tests.pricing_engine_support import COMMAND, Engine, environment, long_request, request, running_engine
from tests.pricing_support import BY_MODEL, SIMULATED_EXPOSURE
from tests.support import eventually


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with running_engine() as running:
        yield running


def gone(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split(")")[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_every_model_is_answered_as_by_pks_price(engine: Engine):
    requests = [{"id": model, "model": model, **fields} for model, fields in BY_MODEL.items()]
    requests.append({"id": "simulated", "model": "cva", **SIMULATED_EXPOSURE})
    expected = [price(each) for each in requests]
    documents = [json.dumps(each) for each in requests]
    assert engine.batch(documents) == expected
    assert [engine.price(document) for document in documents] == expected
    assert list(engine.stream(iter(documents))) == expected


def test_digits_are_taken_as_they_stand(engine: Engine):
    document = request(1).replace('"spot": 100', '"spot": 1e2')
    assert engine.price(document)["error"]["field"] == "spot"
    assert engine.price(request("x", spot="100"))["price"] == engine.price(request("y"))["price"]


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ("", "request"),
        ("[]", "request"),
        ("{", "request"),
        ('{"id": 1, "id": 2}', "id"),
        ('{"id": "1"}', "model"),
        ('{"id": "1", "model": "bsm", "spot": {"a": 1, "a": 2}}', "a"),
        ("[" * 100_000, "request"),
        ("{}", "id"),
    ],
)
def test_what_is_no_request_is_answered_with_what_is_wrong(engine: Engine, document: str, field: str):
    answer = engine.price(document)
    assert answer["error"].keys() == {"field", "expected", "found"} and answer["error"]["field"] == field


def test_one_bad_request_in_ten_thousand_spoils_nothing(engine: Engine):
    documents = [request(number, strike=50 + number % 100) for number in range(10_000)]
    documents[4_321] = "{no request"
    documents[7_000] = request(7_000, volatility=-1)
    answers = engine.batch(documents)
    assert [answer["id"] for answer in answers] == [
        None if number == 4_321 else number for number in range(10_000)
    ]
    assert [number for number, answer in enumerate(answers) if "error" in answer] == [4_321, 7_000]
    assert answers[5_000] == price(json.loads(documents[5_000]))


def test_a_stream_answers_while_it_is_open_and_in_order(engine: Engine):
    go_on = threading.Event()

    def requests() -> Iterator[str]:
        yield request(0)
        assert go_on.wait(30)
        yield from (request(number) for number in range(1, 3_000))

    answers = engine.stream(requests())
    assert next(answers)["id"] == 0
    go_on.set()
    assert [answer["id"] for answer in answers] == list(range(1, 3_000))


def test_health_and_reflection(engine: Engine):
    checks = health_pb2_grpc.HealthStub(engine.channel)
    for name in ("", "pks.v1.PricingEngine"):
        reply = checks.Check(health_pb2.HealthCheckRequest(service=name))
        assert reply.status == health_pb2.HealthCheckResponse.SERVING
    services = ProtoReflectionDescriptorDatabase(engine.channel).get_services()
    assert {"pks.v1.PricingEngine", "grpc.health.v1.Health"} <= set(services)


def test_what_has_not_begun_by_the_deadline_is_not_begun(engine: Engine):
    before = engine.metric("pks_pricing_requests_total", model="cva", outcome="priced")
    documents = [long_request(number, paths=20_000) for number in range(500)]
    with pytest.raises(grpc.RpcError) as failed:
        engine.batch(documents, timeout=0.5)
    assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    eventually(lambda: engine.metric("pks_pricing_waiting_requests") == 0)
    assert engine.price(request())["price"]
    begun = engine.metric("pks_pricing_requests_total", model="cva", outcome="priced") - before
    assert begun < 100, "nearly all of them had no time to begin"


def test_a_long_call_leaves_room_for_others(engine: Engine):
    answers = engine.batch_later([long_request(number, paths=4_000) for number in range(40)])
    for number in range(20):
        assert engine.price(request(number), timeout=10.0)["id"] == number
    assert len(answers()) == 40


def test_killed_processes_are_replaced_and_no_answer_is_lost(engine: Engine):
    eventually(lambda: engine.metric("pks_pricing_processes") == 2)
    before = engine.metric("pks_pricing_restarts_total")
    documents = [long_request(number, paths=1_000) for number in range(60)]
    answers = engine.batch_later(documents)
    for kills in (1, 2, 3):
        os.kill(engine.workers()[0], signal.SIGKILL)
        # In this order: before the engine has seen the end of one, it still counts two.
        eventually(
            lambda kills=kills: engine.metric("pks_pricing_restarts_total") == before + kills, timeout=60
        )
        eventually(lambda: engine.metric("pks_pricing_processes") == 2, timeout=60)
    found = answers()
    assert [answer["id"] for answer in found] == list(range(60))
    assert len({answer["price"] for answer in found}) == 1
    checks = health_pb2_grpc.HealthStub(engine.channel)
    assert checks.Check(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.SERVING


def test_metrics_tell_calls_models_and_outcomes(engine: Engine):
    calls = engine.metric("pks_pricing_calls_total", method="Price", code="OK")
    refused = engine.metric("pks_pricing_requests_total", model="none", outcome="refused")
    engine.price("{")
    assert engine.metric("pks_pricing_calls_total", method="Price", code="OK") == calls + 1
    assert engine.metric("pks_pricing_requests_total", model="none", outcome="refused") == refused + 1
    assert engine.metric("pks_pricing_call_seconds_count", method="Price") >= calls + 1


def test_a_request_that_takes_too_long_is_given_up_and_spoils_no_other():
    with running_engine(processes=1, request_seconds_max=0.4) as engine:
        documents = [request(0), long_request(paths=200_000), request(2)]
        first, long, last = engine.batch(documents)
        assert (first["id"], last["id"]) == (0, 2) and first["price"] == last["price"]
        assert long["error"]["field"] == "request" and "0.4 s" in long["error"]["found"]
        assert engine.metric("pks_pricing_given_up_total") == 1


def test_a_request_that_ends_its_processes_is_given_up():
    with running_engine(processes=1, request_seconds_max=60) as engine:
        answers = engine.batch_later([request(0), long_request(), request(2)])
        for kills in (0, 1, 2):
            # In this order: before the engine has seen the end of one, it still counts it.
            eventually(lambda kills=kills: engine.metric("pks_pricing_restarts_total") == kills, timeout=60)
            eventually(lambda: engine.metric("pks_pricing_processes") == 1, timeout=60)
            (worker,) = engine.workers()
            before = _processor_seconds(worker)
            eventually(lambda worker=worker, before=before: _processor_seconds(worker) > before + 0.1, 60)
            os.kill(worker, signal.SIGKILL)
        first, long, last = answers()
        assert (first["id"], last["id"]) == (0, 2) and "SIGKILL" in long["error"]["found"]


def _processor_seconds(process: int) -> float:
    ticks = sum(map(int, Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def test_too_many_that_wait_are_refused():
    with running_engine(processes=1, waiting_max=100) as engine:
        with pytest.raises(grpc.RpcError) as failed:
            engine.batch([request(number) for number in range(101)])
        assert failed.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "at most 100" in failed.value.details()
        assert len(engine.batch([request(number) for number in range(100)])) == 100


def test_sigterm_lets_calls_end_and_takes_no_more():
    with running_engine() as engine:
        workers = engine.workers()
        answers = engine.batch_later([long_request(number, paths=2_000) for number in range(10)])
        eventually(lambda: engine.metric("pks_pricing_waiting_requests") > 0)
        assert engine.stop() == 0
        assert len(answers()) == 10
        assert all(map(gone, workers))
        with pytest.raises(grpc.RpcError) as failed:
            engine.price(request())
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE


def test_its_processes_end_with_an_engine_that_is_killed():
    with running_engine() as engine:
        workers = engine.workers()
        assert len(workers) == 2
        engine.process.kill()
        engine.process.wait()
        eventually(lambda: all(map(gone, workers)))


def _refused(**settings: Any) -> str:
    found = subprocess.run(
        [*COMMAND, "pricing-engine", "--json"],
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (found.returncode, found.stdout) == (1, "")
    return found.stderr


def test_what_it_cannot_start_with_is_said(engine: Engine, tmp_path: Path):
    assert f"127.0.0.1:{engine.port}, found: Address already in use" in _refused(port=engine.port)
    metrics = engine.addresses["metrics"].rpartition("/")[0].rpartition(":")[2]
    assert "PKS_PRICING_METRICS_PORT" in _refused(metrics_port=metrics)
    assert "expected both or neither" in _refused(key_file=tmp_path / "key.pem")
    missing = _refused(key_file=tmp_path / "key.pem", certificate_file=tmp_path / "certificate.pem")
    assert "key.pem: expected a PEM file, found: No such file" in missing


def test_tls_on_both_sides(tmp_path: Path):
    authority = Authority(tmp_path / "authority")
    server, client = authority.sign("engine"), authority.sign("client")
    trusted = authority.certificate.read_bytes()
    settings = {
        "certificate_file": server.certificate,
        "key_file": server.key,
        "client_authority_file": authority.certificate,
    }
    known = grpc.ssl_channel_credentials(trusted, client.key.read_bytes(), client.certificate.read_bytes())
    with running_engine(known, processes=1, **settings) as engine:
        assert engine.addresses["tls"] is True
        assert engine.price(request())["id"] == 1
        unknown = Engine(engine.process, engine.addresses, grpc.ssl_channel_credentials(trusted))
        plain = Engine(engine.process, engine.addresses)
        for other in (unknown, plain):
            with pytest.raises(grpc.RpcError) as failed:
                other.price(request(), timeout=5.0)
            assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
            other.channel.close()
