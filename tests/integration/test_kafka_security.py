"""A broker that takes clients by TLS with certificates and SASL SCRAM only: who gets in, and what the others are told."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bench.workload import WORKLOADS, make_fills
from connectors.kafka.broker_security import BrokerSecurity
from connectors.kafka.errors import LinkError
from connectors.kafka.link import Link, parse_url
from connectors.kafka.topics import look_at
from tests.kafka_certificates import Authority, Identity
from tests.kafka_support import (
    PATIENCE,
    Expected,
    View,
    make_topics,
    produce_fills,
    running_broker,
    start_worker,
)
from tests.support import eventually

USER, PASSWORD = "pks", "correct horse"


class Secured(NamedTuple):
    """A running broker, who signed its certificate, and a client's."""

    url: str
    authority: Authority
    client: Identity

    def settings(self, **others: Any) -> dict[str, str]:
        """The security of a link, by the names of `Link`."""
        return {
            "protocol": "sasl_ssl",
            "ca": str(self.authority.certificate),
            "certificate": str(self.client.certificate),
            "key": str(self.client.key),
            "user": USER,
            "password": PASSWORD,
            **others,
        }

    def link(self, **others: Any) -> Link:
        return parse_url(self.url, **self.settings(**others))

    def environment(self) -> dict[str, str]:
        """The same as settings of a worker."""
        names = {"protocol": "security_protocol"}
        return {
            f"PKS_KAFKA_{names.get(name, name).upper()}": value for name, value in self.settings().items()
        }


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    authority = Authority(folder / "authority")
    security = BrokerSecurity(authority.sign("broker").both, {USER: PASSWORD}, authority.certificate)
    with running_broker(folder / "broker", security=security) as running:
        yield Secured(f"kafka://{running.address}", authority, authority.sign("client"))


def refused(link: Link) -> str:
    with pytest.raises(
        LinkError, match=r"expected the broker at 127\.0\.0\.1:\d+ to take this client"
    ) as error:
        look_at(link)
    return str(error.value)


def test_who_has_a_certificate_and_the_password_gets_in(secured: Secured) -> None:
    assert look_at(secured.link()).cluster


def test_a_wrong_password_is_told_as_that(secured: Secured) -> None:
    told = refused(secured.link(password="of another"))
    assert "kafka_password" in told and "of another" not in told


def test_a_broker_that_somebody_else_signed_is_not_trusted(secured: Secured, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other")
    told = refused(secured.link(ca=str(other.certificate)))
    assert "certificate verify failed" in told and "kafka_ca" in told


def test_a_client_without_a_certificate_is_refused(secured: Secured) -> None:
    assert "kafka_certificate" in refused(secured.link(certificate="", key=""))


def test_who_speaks_plainly_is_told_of_the_protocol(secured: Secured) -> None:
    with pytest.raises(LinkError, match="other clients than plaintext, set kafka_security_protocol"):
        look_at(parse_url(secured.url), 2.0)


def test_a_worker_runs_over_it(secured: Secured, tmp_path: Path) -> None:
    link = secured.link()
    make_topics(link)
    expected = Expected(make_fills(WORKLOADS["W"], 1_000))
    produce_fills(link, expected.frames)
    (tmp_path / "worker").mkdir()
    worker = start_worker(link, tmp_path / "worker", "one", **secured.environment())
    view = View(link, tmp_path / "view")
    try:
        eventually(lambda: view.hash() == expected.hash, PATIENCE)
        worker.terminate()
        assert worker.wait(30) == 0
    finally:
        view.close()
        worker.kill()
        worker.wait()


def test_a_password_is_shown_nowhere(secured: Secured) -> None:
    assert PASSWORD not in repr(secured.link())
