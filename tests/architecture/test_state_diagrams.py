"""The page of states is what the tables say now."""

from marketplace import state_diagrams
from tests.architecture.source import ROOT


def test_the_page_is_drawn_from_the_tables(app):
    written = (ROOT / "docs" / "states.md").read_text(encoding="utf-8")
    drawn = app.test_cli_runner().invoke(args=["docs", "states"], catch_exceptions=False)

    assert written == state_diagrams.draw_all()
    assert drawn.output == written
