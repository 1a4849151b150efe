"""What a strategy's stream reads out of single messages."""

import pytest

from clients.python.pks_client.stream import _sequence


@pytest.mark.parametrize(
    "reply",
    [
        b"$JS.ACK.POSITIONS.client_1.1.42.7.1767571200000000000.0",
        b"$JS.ACK.hub.account.POSITIONS.client_1.1.42.7.1767571200000000000.0",
        b"$JS.ACK._.account.POSITIONS.client_1.1.42.7.1767571200000000000.0.random",
    ],
)
def test_the_place_in_the_stream_in_each_form_of_the_reply_subject(reply: bytes):
    assert _sequence(reply) == 42
