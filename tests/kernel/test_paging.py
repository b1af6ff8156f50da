import base64

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from shop.product.v1.product_pb2 import ListProductsRequest, SearchProductsRequest

from souk.kernel.errors import InvalidArgument
from souk.kernel.paging import decode_token, encode_token, page_of, page_size_of

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


def token_of(request: ListProductsRequest, caller: str) -> str:
    _, token = page_of(request, (str, int), caller=caller).cut([1, 2, 3], lambda row: ("é", row))
    assert token is not None
    return token


FIRST = ListProductsRequest(category="toys", page_size=2)


def test_a_page_goes_on_behind_the_last_row_shown() -> None:
    token = token_of(FIRST, "U-1")
    other_size = ListProductsRequest(category="toys", page_size=5, page_token=token)
    page = page_of(other_size, (str, int), caller="U-1")
    assert (page.size, page.after) == (5, ("é", 2))
    assert page.cut([3], lambda row: ("", row)) == ([3], None)


def test_an_empty_token_is_the_first_page() -> None:
    for request in (FIRST, ListProductsRequest(category="toys", page_token="")):
        assert page_of(request, (str, int), caller="U-1").after is None


@pytest.mark.parametrize(
    ("request_", "caller"),
    [
        (ListProductsRequest(), "U-1"),
        (ListProductsRequest(category="kitchen"), "U-1"),
        (ListProductsRequest(category="toys", sort="-name"), "U-1"),
        (ListProductsRequest(category="toys"), "U-2"),
        (SearchProductsRequest(q="toys"), "U-1"),
        (SearchProductsRequest(category="toys"), "U-1"),
    ],
)
def test_a_token_is_bound_to_list_query_and_caller(request_: Message, caller: str) -> None:
    request_.page_token = token_of(FIRST, "U-1")
    with pytest.raises(InvalidArgument, match="belongs to another list, filter, order or caller"):
        page_of(request_, (str, int), caller=caller)
