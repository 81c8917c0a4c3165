from __future__ import annotations

from pathlib import Path

import pytest

from matrix.analysis.variants import variants_label
from matrix.plan.config import read_config
from matrix.plan.plan import variant_name
from matrix.plan.selection import choose
from tests.support.fakes import make_experiment
from vms.errors import UsageError

VARIANTS: dict[str, dict[str, tuple[str, ...]]] = {
    "baseline": {"frontend": ("legacy", "nft", "native"), "scope": ("user", "root")},
    "table-full": {"frontend": ("legacy", "nft", "native"), "scope": ("user", "root")},
    "table-empty": {"family": ("ipv4", "ipv6")},
    "notrack": {},
}
CATALOGUE = {name: make_experiment(name, variants=variants) for name, variants in VARIANTS.items()}


def chosen(*specs: str) -> dict[str, list[str]]:
    return {
        choice.experiment.name: [variant_name(variant) for variant in choice.variants]
        for choice in choose(specs, CATALOGUE)
    }


def test_globs_choose_in_the_order_of_the_catalogue_with_every_variant() -> None:
    assert {
        name: len(variants) for name, variants in chosen("table-*", "baseline", "table-full").items()
    } == {
        "baseline": 6,
        "table-full": 6,
        "table-empty": 2,
    }
    assert chosen("notrack") == {"notrack": [""]}
    assert list(chosen("table-[ef]*", "*ful[lm]")) == ["table-full", "table-empty"]


@pytest.mark.parametrize(
    ("spec", "variants"),
    [
        ("table-full[frontend=legacy,scope=root]", ["frontend=legacy,scope=root"]),
        ("table-full[scope=root,frontend=legacy]", ["frontend=legacy,scope=root"]),
        ("table-full[ scope = root , frontend = legacy ]", ["frontend=legacy,scope=root"]),
        ("table-full[frontend=nft]", ["frontend=nft,scope=user", "frontend=nft,scope=root"]),
        (
            "table-full[frontend=native/legacy,scope=root]",
            ["frontend=legacy,scope=root", "frontend=native,scope=root"],
        ),
    ],
)
def test_a_selector_keeps_the_variants_it_names(spec: str, variants: list[str]) -> None:
    assert chosen(spec) == {"table-full": variants}


def test_a_selector_of_a_glob_leaves_out_what_has_no_such_variant() -> None:
    assert chosen("*[scope=root,frontend=nft]") == {
        "baseline": ["frontend=nft,scope=root"],
        "table-full": ["frontend=nft,scope=root"],
    }
    assert chosen("table-[ef]*[family=ipv6]") == {"table-empty": ["family=ipv6"]}


def test_what_several_specs_name_is_asked_once() -> None:
    specs = ("table-full[frontend=nft]", "table-full[scope=root,frontend=legacy/nft]")
    assert chosen(*specs)["table-full"] == [
        "frontend=legacy,scope=root",
        "frontend=nft,scope=user",
        "frontend=nft,scope=root",
    ]
    assert len(chosen("table-full", *specs)["table-full"]) == 6


def test_the_label_of_a_row_is_its_selector() -> None:
    everything = CATALOGUE["baseline"].combinations()
    variants = [
        variant for variant in everything if variant["frontend"] != "nft" and variant["scope"] == "user"
    ]
    spec = f"baseline[{variants_label(variants, everything)}]"
    assert spec == "baseline[frontend=legacy/native,scope=user]"
    assert chosen(spec)["baseline"] == [variant_name(variant) for variant in variants]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("tabel-full", "there is no experiment 'tabel-full'; did you mean table-full"),
        ("tabel-full[scope=root]", "there is no experiment 'tabel-full'; did you mean table-full"),
        ("zzz*", "there are baseline, table-full, table-empty, notrack"),
        (
            "table-full[scop=root]",
            "'table-full[scop=root]': table-full has no parameter 'scop'; did you mean scope?",
        ),
        ("table-full[colour=red]", "has no parameter 'colour'; there are frontend, scope"),
        ("table-full[scope=rot]", "scope is never 'rot'; did you mean root?"),
        ("table-full[frontend=nft/x]", "frontend is never 'x'; there are legacy, nft, native"),
        ("table-full[scope=]", "'scope=' is not parameter=value"),
        (
            "table-full[scope]",
            "'scope' is not parameter=value, as in 'table-full[frontend=legacy/nft,scope=root]'",
        ),
        ("table-full[]", "'' is not parameter=value"),
        ("table-full[scope=root,scope=user]", "scope is given twice; scope=root/user means either"),
        ("notrack[scope=root]", "notrack has no variants; remove the brackets"),
        ("*[colour=red]", "none of these experiments has a parameter 'colour'"),
        ("table-*[family=ipv4,scope=root]", "no experiment has a variant with all of these"),
    ],
)
def test_what_names_nothing_is_refused_with_what_there_is(spec: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        choose(["baseline", spec], CATALOGUE)
    assert words in str(caught.value)
    assert caught.value.exit_code == 2


def test_no_experiment_at_all_is_refused() -> None:
    with pytest.raises(UsageError, match="no experiments are selected"):
        choose([], CATALOGUE)


def test_matrix_toml_takes_the_same_specs(tmp_path: Path) -> None:
    (path := tmp_path / "matrix.toml").write_text('experiments = ["table-full[scope=root,frontend=nft]"]')
    choices = choose(read_config(path).experiments, CATALOGUE)
    assert [(choice.experiment.name, choice.variants) for choice in choices] == [
        ("table-full", ({"frontend": "nft", "scope": "root"},))
    ]
