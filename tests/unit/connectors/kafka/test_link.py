"""What a link to a cluster may say."""

from pathlib import Path

import pytest

from connectors.kafka.errors import LinkError
from connectors.kafka.link import parse_url
from topology.cli.doctor import masked
from topology.cluster.places import link_of
from topology.settings import Settings

URL = "kafka://one:9092,two:9093"


def test_a_plain_link_names_its_brokers_and_nothing_secret():
    told = parse_url(URL).common()
    assert told["bootstrap.servers"] == "one:9092,two:9093"
    assert told["security.protocol"] == "plaintext"
    assert not any(name.startswith(("sasl.", "ssl.")) for name in told)


@pytest.mark.parametrize(
    "url", ["kafka://", "kafka://host", "kafka://host:x", "host:9092", "kafka://a:1,,b:2"]
)
def test_an_address_that_is_none_is_an_error(url: str):
    with pytest.raises(LinkError, match="expected kafka://host:port"):
        parse_url(url)


def test_settings_of_a_secured_link_reach_librdkafka(tmp_path: Path):
    files = {name: tmp_path / name for name in ("ca", "certificate", "key")}
    for path in files.values():
        path.write_text("PEM")
    settings = Settings(
        transport=URL,
        kafka_security_protocol="sasl_ssl",
        kafka_user="pks",
        kafka_password="correct horse",
        **{f"kafka_{name}": str(path) for name, path in files.items()},
    )
    told = link_of(settings).common()
    assert told["security.protocol"] == "sasl_ssl" and told["sasl.mechanism"] == "SCRAM-SHA-512"
    assert (told["sasl.username"], told["sasl.password"]) == ("pks", "correct horse")
    assert told["ssl.ca.location"] == str(files["ca"]) and told["ssl.key.location"] == str(files["key"])
    assert "correct horse" not in str(masked(settings)) + repr(settings) + repr(link_of(settings))


@pytest.mark.parametrize(
    ("security", "message"),
    [
        (
            {"ca": "nowhere.pem", "protocol": "ssl"},
            "expected a file of PEM as kafka_ca, found none at nowhere.pem",
        ),
        ({"certificate": __file__, "protocol": "ssl"}, "kafka_certificate and kafka_key together"),
        ({"protocol": "sasl_ssl", "user": "pks"}, "expected kafka_user and kafka_password"),
        ({"user": "pks"}, "expected kafka_security_protocol sasl_ssl"),
        ({"ca": __file__}, "expected kafka_security_protocol ssl or sasl_ssl"),
    ],
)
def test_what_does_not_fit_together_is_an_error(security: dict[str, str], message: str):
    with pytest.raises(LinkError, match=message):
        parse_url(URL, **security)
