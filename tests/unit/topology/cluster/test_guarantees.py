"""Which stage may have which guarantee."""

from pathlib import Path

import pytest

from topology.cluster.guarantees import (
    EXACTLY_ONCE,
    LOW_LATENCY,
    GuaranteeError,
    check_guarantees,
    guarantee_of,
)
from topology.settings import Settings
from topology.stages import build_stages

CAPTURE, POSITIONS, *_ = build_stages(Settings(data=Path("unused")))


def test_a_stage_that_nobody_names_is_exactly_once():
    assert guarantee_of(CAPTURE, {}) == guarantee_of(POSITIONS, {"other": LOW_LATENCY}) == EXACTLY_ONCE


def test_a_stage_with_one_ordered_input_may_have_low_latency():
    assert guarantee_of(POSITIONS, {POSITIONS.name: LOW_LATENCY}) == LOW_LATENCY


def test_a_stage_that_reads_reference_data_may_not():
    with pytest.raises(GuaranteeError, match=rf"exactly_once for {CAPTURE.name}, .*ref\.instrument"):
        check_guarantees([CAPTURE, POSITIONS], {CAPTURE.name: LOW_LATENCY})


def test_a_stage_that_is_not_there_is_an_error():
    with pytest.raises(GuaranteeError, match=r"name stages .*found 'position'"):
        check_guarantees([CAPTURE, POSITIONS], {"position": LOW_LATENCY})
