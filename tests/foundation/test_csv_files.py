"""Files as people's spreadsheets write them."""

import pytest

from marketplace.foundation import csv_files
from marketplace.foundation.errors import Invalid

TEXT = "email,名称\na@example.com,李娜\nb@example.com,王\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_spreadsheet_is_read(encoding, end):
    content = TEXT.replace("\n", end).encode(encoding)

    assert csv_files.rows(content) == [["email", "名称"], ["a@example.com", "李娜"], ["b@example.com", "王"]]
    assert csv_files.table_of(content) == (
        ["email", "名称"],
        [{"email": "a@example.com", "名称": "李娜"}, {"email": "b@example.com", "名称": "王"}],
    )


def test_rows_of_another_length_are_read_by_their_names():
    assert csv_files.table_of(b"a,b\n1\n1,2,3\n") == (["a", "b"], [{"a": "1", "b": ""}, {"a": "1", "b": "2"}])
    assert csv_files.table_of(b"a,b\n") == (["a", "b"], [])


@pytest.mark.parametrize(
    "content", [b"\xff\xff\xff", "a,b".encode("utf-16"), b"a\0b", b"PK\x03\x04\0\0", b"a\n" + b"x" * 140_000]
)
def test_what_is_no_such_text_is_refused(content):
    for read in (csv_files.rows, csv_files.table_of):
        with pytest.raises(Invalid):
            read(content)
