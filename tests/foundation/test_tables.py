"""The cells of a table say which column they are of."""

from __future__ import annotations

from marketplace.foundation import tables

TABLE = """<thead>
  <tr><th scope="col">Order</th><th scope="col" colspan="2">Seats <b>&amp; more</b></th><th>Say &#34;x&#34;</th>
  <th></th></tr>
</thead>
<tbody>
  <tr><th scope="row">7f</th><td class="number">3</td><td> </td><td><a href="/x">y</a></td>
  <td><button>z</button></td></tr>
  <tr><td colspan="2">a</td><td>b</td></tr>
</tbody>"""


def test_columns_are_named_once_for_each_they_span():
    assert tables.is_wide(TABLE)
    assert not tables.is_wide("<thead><tr><th>a</th><th>b</th><th>c</th></tr></thead>")
    assert tables.columns_of(TABLE) == ["Order", "Seats &amp; more", "Seats &amp; more", "Say &#34;x&#34;", ""]


def test_every_cell_carries_the_name_of_its_column():
    rows = tables.with_names(TABLE).splitlines()
    assert rows[1] == TABLE.splitlines()[1]
    assert [row.strip() for row in rows[5:8]] == [
        (
            '<tr><th scope="row">7f</th><td class="number" data-column="Seats &amp; more">3</td><td data-empty> </td>'
            '<td data-column="Say &#34;x&#34;"><a href="/x">y</a></td>'
        ),
        '<td data-column=""><button>z</button></td></tr>',
        '<tr><td colspan="2" data-column="Order">a</td><td data-column="Seats &amp; more">b</td></tr>',
    ]


def test_a_table_without_a_head_stays_as_it_is():
    bare = "<tbody><tr><td>a</td></tr></tbody>"
    assert tables.with_names(bare) == bare
