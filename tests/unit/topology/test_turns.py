"""Turns of later stages: a stage with little to do rests between its slices, and holds nobody else up meanwhile."""

import asyncio

from topology.turns import REST_SECONDS, Turns


def test_a_stage_with_little_to_do_rests_and_others_do_not_wait_for_it() -> None:
    turns = Turns()

    async def scenario() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        async with turns.slice("ledger", small=True):
            ended = loop.time()
        order = []

        async def step(stage: str, *, small: bool) -> float:
            async with turns.slice(stage, small=small):
                order.append(stage)
                return loop.time() - ended

        rested, other = await asyncio.gather(step("ledger", small=True), step("cash", small=True))
        assert order == ["cash", "ledger"]
        return rested, other

    rested, other = asyncio.run(scenario())
    assert rested >= REST_SECONDS * 0.99 and other < rested
