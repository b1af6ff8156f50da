import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shop.product.v1.product_pb2 import ListProductsRequest

from souk.kernel.errors import InvalidArgument
from souk.kernel.paging import decode_token, encode_token, page_size_of, query_digest, require_same_query

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=50)
INTEGER = st.integers(-(2**63), 2**63 - 1)


def test_a_page_has_20_unless_said() -> None:
    assert page_size_of(ListProductsRequest()) == 20
    assert page_size_of(ListProductsRequest(page_size=100)) == 100


@given(TEXT, INTEGER)
def test_a_token_comes_back_as_it_went(text: str, number: int) -> None:
    token = encode_token(text, number)
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert decode_token(token, (str, int)) == (text, number)


@given(st.text(max_size=200))
def test_garbage_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        decode_token(text, (str, int))


@pytest.mark.parametrize(
    "json",
    ['["a"]', '["a",true]', '["a",1.0]', '[1,"a"]', '{"a":1}', '["a",1,2]', "null", '["a\\u0000",1]', '["\\ud800",1]'],
)
def test_well_formed_tokens_of_another_kind_are_refused(json: str) -> None:
    with pytest.raises(InvalidArgument):
        decode_token(base64.urlsafe_b64encode(json.encode()).decode().rstrip("="), (str, int))


def test_numbers_beyond_64_bits_are_refused() -> None:
    with pytest.raises(InvalidArgument):
        decode_token(encode_token("a", 2**63), (str, int))


def test_a_token_is_bound_to_its_query() -> None:
    require_same_query(query_digest("kitchen", None), query_digest("kitchen", None))
    with pytest.raises(InvalidArgument):
        require_same_query(query_digest("kitchen", None), query_digest(None, "kitchen"))
