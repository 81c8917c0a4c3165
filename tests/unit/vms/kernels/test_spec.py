from __future__ import annotations

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vms.errors import UsageError
from vms.kernels.spec import FLAVOURS, Builds, Exact, Local, Point, Word, parse


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("6.12", Builds(Point("6.12"), Point("6.12"), "cloud")),
        ("6.12-rt", Builds(Point("6.12"), Point("6.12"), "rt")),
        ("6.12.117", Builds(Point("6.12.117"), Point("6.12.117"), "cloud")),
        ("6.12.90-2~bpo12+1", Builds(Point("6.12.90-2~bpo12+1"), Point("6.12.90-2~bpo12+1"), "cloud")),
        ("6.12.90-2-generic", Builds(Point("6.12.90-2"), Point("6.12.90-2"), "generic")),
        ("7.3-rc7", Builds(Point("7.3~rc7"), Point("7.3~rc7"), "cloud")),
        ("7.3~rc7-rt", Builds(Point("7.3~rc7"), Point("7.3~rc7"), "rt")),
        ("6.12.*", Builds(Point("6.12", every=True), Point("6.12", every=True), "cloud")),
        ("5.10..7.3", Builds(Point("5.10"), Point("7.3"), "cloud")),
        ("5.10.*..6.12.90-generic", Builds(Point("5.10", every=True), Point("6.12.90"), "generic")),
        ("lts", Word("lts", "cloud")),
        ("all-generic", Word("all", "generic")),
        ("host", Local("host")),
        ("debian:6.12.117+deb13-cloud-amd64", Exact("6.12.117+deb13-cloud-amd64", "")),
        ("debian:linux-image-6.1.0-56-amd64=6.1.192-2", Exact("6.1.0-56-amd64", "6.1.192-2")),
        ("deb:a.deb,../b.deb", Local("deb", ("a.deb", "../b.deb"))),
        ("tree:../linux", Local("tree", ("../linux",))),
        ("image:/boot/vmlinuz=1", Local("image", ("/boot/vmlinuz=1",))),
        ("image:vmlinuz,modules=lib/6.1", Local("image", ("vmlinuz",), "lib/6.1")),
    ],
)
def test_what_a_spec_means(text: str, what: object) -> None:
    assert parse(text).what == what
    assert parse(text).name == ""


def test_a_name_of_ones_own() -> None:
    spec = parse("mine=tree:../linux")
    assert (spec.name, spec.what) == ("mine", Local("tree", ("../linux",)))


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("6.x", 2, "expected a number"),
        ("6", 1, "expected a number"),
        ("6.12.", 4, "unexpected '.'"),
        ("6.12.*.3", 6, "unexpected '.'"),
        ("6.12,6.1", 4, "unexpected ','"),
        ("6.12-clout", 5, "did you mean cloud"),
        ("6.12..", 6, "expected a number"),
        ("7.3..5.10", 5, "5.10 is before 7.3"),
        ("7.3..7.3~rc7", 5, "7.3~rc7 is before 7.3"),
        ("6.12.117+deb13-cloud-amd64", 8, "debian:6.12.117"),
        ("newst", 0, "did you mean newest"),
        ("a=newst", 2, "did you mean newest"),
        ("host-rt", 0, "expected a series"),
        ("dep:x", 0, "did you mean deb"),
        ("debian:6.12", 11, "expected a package"),
        ("debian:6.12-amd64=x", 18, "expected a package"),
        ("deb:", 4, "a path is missing"),
        ("deb:a,,b", 6, "a path is missing"),
        ("tree:a,b", 6, "unexpected ','"),
        ("image:a,b", 8, "expected modules=DIRECTORY"),
        ("image:a,modules=b,c", 17, "unexpected ','"),
        ("=6.1", 0, "a name is missing"),
        ("m/x=6.1", 1, "is not allowed in a kernel's name"),
        ("x=", 2, "a kernel is missing"),
        ("6.12 ", 4, "is not allowed here"),
    ],
)
def test_an_error_points_at_the_character(text: str, place: int, message: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(text)
    said, shown, pointer = str(error.value).split("\n")
    assert message in said
    assert shown == f"    {text}"
    assert pointer == " " * (4 + place) + "^"


@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_spec(text: str) -> None:
    with pytest.raises(UsageError, match="a kernel is missing"):
        parse(text)


@given(st.text(alphabet=string.printable + "é\0", max_size=30))
@example("6.12.90-2..6.12.117")
@example("debian:")
def test_any_text_is_a_spec_or_one_clear_error(text: str) -> None:
    try:
        assert parse(text).text == text
    except UsageError as error:
        lines = str(error).split("\n")
        if len(lines) > 1:
            assert lines[-1].index("^") <= 4 + len(text)


points = st.builds(
    lambda a, b, c: f"{a}.{b}" + (f".{c}" if c is not None else ""),
    st.integers(3, 6),
    st.integers(0, 99),
    st.one_of(st.none(), st.integers(0, 400)),
)


@given(points, st.builds(lambda b: f"7.{b}", st.integers(0, 20)), st.sampled_from(FLAVOURS))
def test_a_range_has_its_two_ends_and_its_flavour(low: str, high: str, flavour: str) -> None:
    assert parse(f"{low}..{high}-{flavour}").what == Builds(Point(low), Point(high), flavour)
