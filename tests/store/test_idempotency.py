"""Keys and fingerprints, apart from any database."""

import pytest
from google.protobuf.struct_pb2 import Struct
from google.protobuf.wrappers_pb2 import StringValue
from google.rpc.error_details_pb2 import ErrorInfo
from soukapi.v1.event_pb2 import Event

from souk.kernel.errors import DomainError, InvalidArgument, StoreCorrupt
from souk.store.idempotency import Scope, fingerprint
from souk.store.refusal import pack_refusal, unpack_refusal


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\t", "ä", "nul\0"])
def test_a_key_is_printable_ascii(key: str) -> None:
    with pytest.raises(InvalidArgument):
        Scope("U-1", "/m", key)
    assert Scope("U-1", "/m", " ~" + "x" * 253).caller == "U-1"


def test_a_fingerprint_is_of_what_the_request_means() -> None:
    one, two = Struct(), Struct()
    one.update({"a": 1, "b": 2})
    two.update({"b": 2, "a": 1})
    assert fingerprint(one) == fingerprint(two)
    key = [fingerprint(Event(type="t", id=text), without="id") for text in ("one", "two", "")]
    assert len(set(key)) == 1
    assert fingerprint(Event(type="t", id="one")) != fingerprint(Event(type="t", id="two"))
    assert fingerprint(ErrorInfo(reason="t")) != fingerprint(StringValue(value="t"))
    with_unknown = StringValue.FromString(Event(id="x", type="unknown here").SerializeToString())
    assert fingerprint(with_unknown) == fingerprint(StringValue(value="x"))
    assert fingerprint(StringValue(value="x")).startswith("1:")
    # Stored for years: this one value may change only together with the version in front of it.
    assert fingerprint(StringValue(value="x"))[2:10] == "2d45183e"


def test_details_of_unknown_types_are_left_out_of_a_replayed_refusal():
    packed = pack_refusal(DomainError("NO", "why", Event(id="x")))
    strange = packed.replace(b"soukapi.v1.Event", b"soukapi.v1.Xvent")
    assert [unpack_refusal(packed).details, unpack_refusal(strange).details] == [(Event(id="x"),), ()]


def test_a_status_that_cannot_be_read_is_corrupt():
    with pytest.raises(StoreCorrupt):
        unpack_refusal(b"\xff\xff")
