"""What becomes of a translation when either text changes, and what a course lacks."""

import pytest

from marketplace.catalog import authoring_rules as rules
from marketplace.catalog.authoring_rules import Step
from marketplace.foundation.errors import Refused


def texts(**titles):
    empty = {f"{field}_{lang}": "" for field in rules.PAIRED for lang in ("zh", "en")}
    return empty | titles


def state_after(before, now, *, kept="translated", chosen=None, original="zh"):
    pairs = [texts(title_zh=zh, title_en=en) for zh, en in (before, now)]
    return rules.translation_states(
        *pairs, states={"title": kept}, chosen={"title": chosen or kept}, original=original
    ).get("title")


@pytest.mark.parametrize(
    ("before", "now", "options", "state"),
    [
        (("甲", ""), ("甲", ""), {}, None),
        (("甲", ""), ("甲", "A"), {}, "translated"),
        (("甲", "A"), ("乙", "A"), {}, "stale"),
        (("甲", "A"), ("乙", "B"), {}, "translated"),
        (("甲", "A"), ("甲", "A"), {"kept": "stale"}, "stale"),
        (("甲", "A"), ("甲", "B"), {"kept": "stale"}, "translated"),
        (("甲", "A"), ("甲", "A"), {"kept": "stale", "chosen": "translated"}, "translated"),
        (("甲", "A"), ("甲", "A"), {"chosen": "machine"}, "machine"),
        (("甲", "A"), ("甲", "B"), {"kept": "machine"}, "machine"),
        (("甲", "A"), ("乙", "A"), {"kept": "machine"}, "stale"),
        (("甲", "A"), ("甲", "B"), {"original": "en"}, "stale"),
        (("", "A"), ("甲", "A"), {"original": "en"}, "translated"),
        (("甲", "A"), ("", "A"), {}, None),
    ],
)
def test_a_translation_is_stale_until_somebody_confirms_it(before, now, options, state):
    assert state_after(before, now, **options) == state


@pytest.mark.parametrize("state", ["draft", "in_review", "published", "withdrawn"])
@pytest.mark.parametrize("step", list(Step))
def test_a_step_follows_from_some_states_alone(step, state):
    wanted = {
        ("submit", "draft"): "in_review",
        ("submit", "withdrawn"): "in_review",
        ("recall", "in_review"): "draft",
        ("return", "in_review"): "draft",
        ("approve", "in_review"): "published",
        ("withdraw", "published"): "withdrawn",
    }.get((step, state))
    if wanted:
        assert rules.after(step, state) == wanted
    else:
        with pytest.raises(Refused):
            rules.after(step, state)


def test_what_is_missing_is_asked_in_the_language_written_first():
    chinese = texts(title_zh="甲", summary_zh="乙", description_zh="丙", outcomes_zh=["丁"])

    assert rules.missing(chinese, original="zh", has_category=True) == []
    assert len(rules.missing(chinese, original="zh", has_category=False)) == 1
    assert len(rules.missing(chinese, original="en", has_category=True)) == 4


def test_a_list_is_read_line_by_line_without_its_bullets():
    assert rules.lines("• 甲  乙\r\n\r\n- Model a scene\n   \n3D") == ["甲 乙", "Model a scene", "3D"]
