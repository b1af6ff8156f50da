"""docs/attacks.md has every row of the corpus."""

from tests.attacks.table import MARK, PAGE, table


def test_the_page_has_the_table_of_the_corpus() -> None:
    assert MARK + PAGE.read_text().partition(MARK)[2] == table()
