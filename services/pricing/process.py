"""A pricing process: reads work from its standard input, writes answers to its standard output, until the input ends.

It has QuantLib's evaluation date and fixings for itself, and ends with the engine, even where that was killed.
"""

import gc
import os
import signal
import time
from typing import BinaryIO

from services.pricing.answering import answer
from services.pricing.wire import LENGTH, Answered, Counted, Work, decode_work, frame

FLUSH_SECONDS = 0.05
"""Answers wait no longer than this, so that a process that dies takes few of them along."""


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Say that it is ready, then answer work after work."""
    from domain.pricing.rates import bonds  # noqa: F401 - QuantLib, before anybody waits for it

    gc.freeze()
    sink.write(frame(Answered((), (), True)))
    sink.flush()
    while head := source.read(LENGTH.size):
        _answer(decode_work(source.read(LENGTH.unpack(head)[0])), sink)


def _answer(work: Work, sink: BinaryIO) -> None:
    answers: list[str | None] = []
    counted: dict[str, Counted] = {}
    flushed = time.monotonic()
    for request in work.requests:
        now = time.monotonic()
        if now - flushed > FLUSH_SECONDS and answers:
            _write(sink, answers, counted, done=False)
            answers, counted, flushed = [], {}, now
        if work.deadline and now >= work.deadline:
            answers.append(None)
            continue
        began = time.thread_time()
        found = answer(request)
        _count(counted, found.model, found.priced, time.thread_time() - began)
        answers.append(found.document)
    _write(sink, answers, counted, done=True)


def _count(counted: dict[str, Counted], model: str, priced: bool, seconds: float) -> None:
    before = counted.get(model, Counted(model, 0, 0, 0.0))
    counted[model] = Counted(
        model, before.priced + priced, before.refused + (not priced), before.seconds + seconds
    )


def _write(sink: BinaryIO, answers: list[str | None], counted: dict[str, Counted], *, done: bool) -> None:
    sink.write(frame(Answered(answers, list(counted.values()), done)))
    sink.flush()


def main() -> None:
    """Run on this process's standard input and output."""
    # A terminal's Ctrl-C is for the engine, which ends this when its calls are answered.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What a library prints must not stand among the answers.
    answers = os.dup(1)
    os.dup2(2, 1)
    with os.fdopen(0, "rb") as source, os.fdopen(answers, "wb") as sink:
        try:
            serve(source, sink)
        except BrokenPipeError:
            # The engine is gone.
            os._exit(0)


if __name__ == "__main__":
    main()
