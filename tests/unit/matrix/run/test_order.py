from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from guest.catalogue import Experiment, load
from matrix.plan.plan import Cell, make_plan
from matrix.run.order import FIRST_TOPIC, Wave, expected, must_begin, places
from tests.support.fakes import make_experiment, make_kernel

KERNELS = [make_kernel("5.10.1"), make_kernel("6.1.2")]


@st.composite
def experiments(draw: st.DrawFn) -> list[Experiment]:
    topics = st.sampled_from([FIRST_TOPIC, "nat", "tcp", "udp"])
    variants: list[Mapping[str, tuple[str, ...]]] = [{}, {"scope": ("user", "root")}]
    return [
        replace(
            make_experiment(
                f"e{number}", variants=draw(st.sampled_from(variants)), waits=draw(st.booleans())
            ),
            topic=draw(topics),
        )
        for number in range(draw(st.integers(1, 12)))
    ]


@given(experiments(), st.lists(st.none() | st.floats(0.1, 60), min_size=24, max_size=24))
def test_the_sample_has_one_row_of_each_topic_and_one_of_each_question_of_the_first_topic(
    of: list[Experiment], lengths: list[float | None]
) -> None:
    cells = make_plan(KERNELS, of).cells
    rows = list(dict.fromkeys(cell.key[1:] for cell in cells))

    def seconds(cell: Cell) -> float | None:
        return lengths[rows.index(cell.key[1:])]

    place = places(cells, seconds)
    sample = [cell for cell in cells if place(cell).wave is Wave.SAMPLE]
    topics = Counter(cell.experiment.topic for cell in sample)
    asked = {e.name for e in of if e.topic == FIRST_TOPIC}
    assert topics == {e.topic: len(KERNELS) * (len(asked) if e.topic == FIRST_TOPIC else 1) for e in of}
    assert asked <= {cell.experiment.name for cell in sample}
    for cell in sample:
        if cell.experiment.topic != FIRST_TOPIC:
            others = [c for c in cells if c.experiment.topic == cell.experiment.topic]
            assert (cell.experiment.waits, expected(cell, seconds)) == min(
                (c.experiment.waits, expected(c, seconds)) for c in others
            )
    for cell in cells:
        assert (place(cell).wave is Wave.REST) == (
            cell.experiment.topic != FIRST_TOPIC and cell not in sample
        )


@given(experiments())
def test_a_row_has_the_same_place_on_every_kernel_and_no_two_rows_share_one(of: list[Experiment]) -> None:
    cells = make_plan(KERNELS, of).cells
    place = places(cells, lambda _cell: 1.0)
    assert len({place(cell) for cell in cells}) * len(KERNELS) == len(cells)
    assert all(
        place(cell) == place(other) for cell in cells for other in cells if cell.key[1:] == other.key[1:]
    )


def test_shorter_rows_go_first_after_the_first_topic() -> None:
    seconds = {"slow": 9.0, "short": 0.2, "middle": 1.0}
    cells = make_plan(KERNELS, [make_experiment(name) for name in ("one", *seconds)]).cells
    place = places(cells, lambda cell: seconds.get(cell.experiment.name, 0.1))
    in_order = [cell.key[::-1] for cell in sorted(cells, key=lambda cell: (place(cell), cell.kernel.name))]
    assert [name for _, name, _ in in_order[::2]] == ["one", "short", "middle", "slow"]


@given(st.floats(0.1, 60), st.floats(0, 1000), st.integers(1, 16))
def test_the_longest_begins_in_time_and_no_earlier(longest: float, others: float, at_a_time: int) -> None:
    begins = must_begin(longest, others, at_a_time)
    assert begins or others > longest * (at_a_time - 1)  # the others would end before it does
    assert not begins or longest * (at_a_time - 1) * 1.3 >= others


def test_the_first_topic_is_one_of_the_catalogue() -> None:
    assert {"baseline", "table-full"} <= {e.name for e in load().values() if e.topic == FIRST_TOPIC}
