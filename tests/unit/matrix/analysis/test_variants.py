from __future__ import annotations

from matrix.analysis.variants import grouped, variants_label


def test_items_with_equal_keys_are_grouped_in_order_of_appearance() -> None:
    items = [(family, scope) for family in ("ipv4", "ipv6") for scope in ("root", "user")]
    variants = [{"family": family, "scope": scope} for family, scope in items]
    groups = grouped(
        items,
        key=lambda item: item[1],
        variant=lambda item: {"family": item[0], "scope": item[1]},
        everything=lambda _: variants,
    )
    assert groups == [("scope=root", [items[0], items[2]]), ("scope=user", [items[1], items[3]])]


def test_a_label_copes_with_variants_of_a_rewritten_experiment() -> None:
    old, new = {"frontend": "legacy"}, {"frontend": "legacy", "stale": "near"}
    assert variants_label([new], [old, new]) == "stale=near"
    assert (
        variants_label([old, new], [old, new, {"frontend": "nft"}])
        == "frontend=legacy; frontend=legacy,stale=near"
    )
