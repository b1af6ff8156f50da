"""Instances survive registries that keep one map of text, and fewer characters in its names."""

import re
import string
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from souk.discovery.external.labels import labelled, labels
from souk.discovery.registry import HEAVIEST, Instance

NAME = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=20)
TEXT = st.text(max_size=20)
ALLOWED = re.compile(r"[A-Za-z0-9_-]+")


def back(instance: Instance) -> Instance:
    return labelled(instance.service, instance.id, instance.address, labels(instance, "c1"))


@given(version=TEXT, zone=TEXT, weight=st.integers(1, 1_000), metadata=st.dictionaries(NAME, TEXT))
def test_what_is_written_is_read(version: str, zone: str, weight: int, metadata: dict[str, str]) -> None:
    instance = Instance("order", "order-1", "127.0.0.1:1", version, zone, weight, metadata)
    assert back(instance) == instance
    assert all(ALLOWED.fullmatch(name) for name in labels(instance, ""))


def test_metadata_named_as_what_an_instance_says_anyway_is_kept_apart() -> None:
    metadata = {"version": "a", "zone": "b", "weight": "c", "souk-claim": "d", "consul-x": "e", "_76ersion": "f"}
    instance = Instance("order", "order-1", "127.0.0.1:1", "1", "z", 5, metadata)
    held = labels(instance, "claim")
    assert (held["version"], held["zone"], held["weight"], held["souk-claim"]) == ("1", "z", "5", "claim")
    assert not any(name.startswith("consul-") for name in held)
    assert back(instance) == instance


def test_what_others_wrote_is_taken_as_it_is() -> None:
    found = {"zone": "eu-1", "weight": "heavy", "my_2Ename": "x"}
    instance = labelled("order", "a", "127.0.0.1:1", found, weight=3)
    assert instance == Instance("order", "a", "127.0.0.1:1", "", "eu-1", 3, {"my_2Ename": "x"})
    assert labelled("order", "a", "127.0.0.1:1", {"weight": "99999"}) == replace(
        instance, zone="", weight=1_000, metadata={}
    )


@pytest.mark.parametrize(("weight", "read"), [("0", 1), ("7", 7), ("9" * 8, HEAVIEST), ("9" * 5_000, 3), ("٣", 3)])
def test_a_weight_is_read_whatever_others_wrote(weight: str, read: int) -> None:
    assert labelled("order", "a", "127.0.0.1:1", {"weight": weight}, weight=3).weight == read
