"""Entity tags, 304 and compression: for what everybody may read, and for nothing else."""

import gzip
import zlib
from collections.abc import Callable
from typing import Any

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from shop.order.v1 import order_pb2
from shop.product.v1 import product_pb2

from souk.gateway.http.content_encoding import ENCODERS, chosen

PRODUCT = "/api/v1/products/P-1"
UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "zstd": lambda octets: zstandard.ZstdDecompressor().decompress(octets),
    "br": brotli.decompress,
    "gzip": gzip.decompress,
}


@pytest.fixture(autouse=True)
def answers(world: Any) -> None:
    world.services.answer("GetProduct", product_pb2.Product(id="P-1", description="a long text " * 200))
    world.services.answer("GetOrder", order_pb2.Order(id="O-1", shipping_address_id="A" * 2_000))


@pytest.mark.parametrize("encoding", ENCODERS)
async def test_a_public_read_is_compressed_as_the_client_likes(world: Any, encoding: str) -> None:
    plain = await world.send("GET", PRODUCT)
    packed = await world.send("GET", PRODUCT, headers=[("accept-encoding", encoding)])
    assert packed.headers["content-encoding"] == encoding
    assert len(packed.body) < len(plain.body) / 5
    assert UNPACK[encoding](packed.body) == plain.body
    assert packed.headers["vary"] == plain.headers["vary"] == "accept-encoding"
    assert packed.headers["content-length"] == str(len(packed.body))
    again = await world.send("GET", PRODUCT, headers=[("accept-encoding", encoding)])
    assert again.body == packed.body


async def test_who_has_it_already_gets_304_and_who_has_another_gets_it(world: Any) -> None:
    first = await world.send("GET", PRODUCT)
    tag = first.headers["etag"]
    assert tag.startswith('W/"')
    for given_tags in (tag, tag.removeprefix("W/"), f'"x", {tag}', "*"):
        again = await world.send("GET", PRODUCT, headers=[("if-none-match", given_tags)])
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
        assert "content-type" not in again.headers
    world.services.answer("GetProduct", product_pb2.Product(id="P-1", description="another text"))
    changed = await world.send("GET", PRODUCT, headers=[("if-none-match", tag)])
    assert changed.status == 200
    assert changed.headers["etag"] != tag


async def test_an_answer_for_one_caller_has_no_tag_and_is_never_compressed(world: Any) -> None:
    headers = [("accept-encoding", "gzip, br, zstd")]
    answer = await world.send("GET", "/api/v1/orders/O-1", token=world.token(), headers=headers)
    assert answer.status == 200
    assert len(answer.body) > 2_000
    assert {"etag", "content-encoding"}.isdisjoint(answer.headers)


async def test_failures_and_small_answers_are_not_compressed(world: Any) -> None:
    world.services.answer("GetProduct", product_pb2.Product(id="P-1"))
    small = await world.send("GET", PRODUCT, headers=[("accept-encoding", "gzip")])
    assert "content-encoding" not in small.headers
    world.services.refuse("GetProduct", RuntimeError("x" * 5_000))
    failed = await world.send("GET", PRODUCT, headers=[("accept-encoding", "gzip"), ("if-none-match", "*")])
    assert failed.status == 500
    assert {"etag", "content-encoding"}.isdisjoint(failed.headers)


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("", ""),
        ("identity", ""),
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("gzip, deflate, br", "br"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("br;q=0.5, gzip;q=0.9", "gzip"),
        ("gzip;q=0", ""),
        ("*", "zstd"),
        ("*;q=0.1, zstd;q=0", "br"),
        ("gzip;q=0.5, identity;q=0.9", ""),
        ("gzip;q=nonsense", ""),
        ("gzip;q=7", ""),
        ("GZIP ; Q=0.8", "gzip"),
        ("compress", ""),
    ],
)
def test_the_encoding_follows_the_weights(accepted: str, encoding: str) -> None:
    assert chosen(accepted) == encoding


@given(st.text(max_size=60))
def test_no_header_breaks_the_choice(accepted: str) -> None:
    assert chosen(accepted) in {"", *ENCODERS}


def test_gzip_is_what_others_read() -> None:
    assert zlib.decompress(ENCODERS["gzip"](b"x" * 5_000), 16 + zlib.MAX_WBITS) == b"x" * 5_000
