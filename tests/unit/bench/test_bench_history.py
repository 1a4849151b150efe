"""What was measured is kept, found again, and compared by its ratios."""

from pathlib import Path

from bench import history
from bench.row import Row


def _run(**rows: Row) -> history.Run:
    return history.Run(
        "2026-01-05T10:00:00Z", "python -m bench", "a machine", {"python": "3"}, list(rows.values())
    )


def test_the_newest_run_is_found_again(tmp_path: Path) -> None:
    assert history.last(tmp_path) is None
    first = _run(a=Row("a", 1.0, "fills/s"))
    second = _run(a=Row("a", 2.0, "fills/s", 4.0, "bare", note="n"))
    history.keep(first, tmp_path)
    history.keep(second, tmp_path)
    assert history.last(tmp_path) == second
    assert second.rows[0].ratio == 0.5


def test_a_ratio_that_fell_is_reported_a_slower_machine_is_not() -> None:
    before = _run(a=Row("a", 100.0, "fills/s", 1000.0), b=Row("b", 100.0, "fills/s", 1000.0))
    now = _run(a=Row("a", 50.0, "fills/s", 500.0), b=Row("b", 80.0, "fills/s", 1000.0))
    (line,) = history.regressions(before, now)
    assert line.startswith("b: 25% worse than on 2026-01-05T10:00:00Z")


def test_of_times_less_is_better_and_figures_without_reference_are_compared_themselves() -> None:
    before = _run(a=Row("a", 1.0, "ms", higher_is_better=False), new=Row("b", None, "ms"))
    slower = _run(a=Row("a", 1.2, "ms", higher_is_better=False), new=Row("b", 2.0, "ms"))
    assert len(history.regressions(before, slower)) == 1
    assert history.regressions(slower, before) == []
    assert history.regressions(before, _run(a=Row("a", 1.1, "ms", higher_is_better=False))) == []


def test_a_release_is_found_by_its_version_and_keeps_what_was_not_measured_again(tmp_path: Path) -> None:
    assert history.released(tmp_path) is None
    first = _run(a=Row("a", 1.0, "fills/s"), b=Row("b", 2.0, "fills/s"))
    first.versions["pks"] = "0.9.0"
    later = _run(a=Row("a", 5.0, "fills/s"))
    later.versions["pks"] = "0.10.0"
    history.keep_release(first, tmp_path)
    history.keep_release(later, tmp_path)
    assert history.released(tmp_path) == later
    again = _run(b=Row("b", 7.0, "fills/s"))
    again.versions["pks"] = "0.10.0"
    history.keep_release(again, tmp_path)
    found = history.released(tmp_path)
    assert found is not None and [(row.name, row.value) for row in found.rows] == [("a", 5.0), ("b", 7.0)]
