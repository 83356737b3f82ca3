from __future__ import annotations

import json
from collections import Counter

import pytest
from sqlalchemy import func, select

from marketplace.accounts.models import Organisation
from marketplace.catalog import esco, imports, search
from marketplace.catalog.import_readers import FileFault
from marketplace.catalog.models import Category, Course, CourseRun, ImportRow, Skill
from marketplace.foundation import clock
from marketplace.foundation.database import db

HEADER = "序号,开课单位,课程名称,课程时长,课程负载,内容类型,课程分类,参加人数,课程链接\n"
COURSE = {"Course_Id": "a1", "Title": "Leading Change", "Description": "", "Topics": "Business: Leadership", "URL": ""}
RUN = {
    "Course_Id": "a1",
    "CO_Title": "LC 1",
    "Start_Date": "2027-03-01",
    "End_Date": "2027-03-03",
    "Delivery": "Online",
    "Price": "1450.0",
    "Location": "",
    "Tuition_Cost(non-USD)": None,
}


def take(source, *contents, capacity=None, is_dry_run=False):
    return imports.import_catalogue(source, contents, capacity=capacity, is_dry_run=is_dry_run, now=clock.now())


def csv_of(*rows):
    return (HEADER + "".join(f"{row}\n" for row in rows)).encode()


def sloan(runs, courses=(COURSE,), **options):
    return take("mit-sloan", json.dumps(list(courses)).encode(), json.dumps(runs).encode(), **options)


def count(model, *conditions):
    return db.session.scalar(select(func.count()).select_from(model).where(*conditions))


def reasons(batch):
    rows = db.session.scalars(select(ImportRow).filter_by(batch_id=batch.id).order_by(ImportRow.id))
    return [(row.outcome, row.reasons) for row in rows]


def test_the_whole_of_icourse163_is_taken_and_a_second_time_changes_nothing(app, shared_data):
    content = (shared_data / "catalogue-icourse163" / "mooc.csv").read_bytes()

    batch = take("icourse163", content)
    assert batch.counts == {"course:accepted": 1219}
    assert count(Course, Course.source == "icourse163") == 1219
    assert db.session.scalar(select(func.count(Course.title_zh.distinct()))) == 1076
    assert (count(Organisation), count(Course, Course.category_id.is_(None))) == (126, 202)
    noted = Counter(reason for _outcome, row in reasons(batch) for reason in row)
    assert noted["category_blank"] == 202
    assert sum(number for reason, number in noted.items() if reason.startswith("same_title")) == 4

    assert take("icourse163", content).counts == {"course:unchanged": 1219}
    _chinese_searches_miss_nothing()


def _chinese_searches_miss_nothing():
    """At least as many courses as titles hold the word; the counts are those of the data's own description."""
    words = {
        "设计": 83,
        "概论": 29,
        "文化": 26,
        "数据": 25,
        "艺术": 18,
        "书法": 6,
        "音乐": 3,
        "摄影": 3,
        "动画": 3,
        "电影": 1,
    }
    for word, least in words.items():
        assert count(Course, Course.title_zh.contains(word)) == least
        assert search.find_courses(search.Wish(words=word, order="relevance")).total >= least, word


def test_the_whole_of_mit_sloan_is_taken_with_each_fault_in_its_place(app, shared_data):
    folder = shared_data / "catalogue-mit-sloan"
    contents = [(folder / f"test_sloan_{name}.json").read_bytes() for name in ("courses", "runs")]

    batch = take("mit-sloan", *contents, capacity=30)
    assert batch.counts == {"course:accepted": 99, "run:accepted": 134, "run:refused": 3}
    assert {tuple(row.reasons) for row in imports.refused_rows(batch)} == {("course_unknown",)}
    assert count(CourseRun, CourseRun.state == "draft") == 4
    assert count(CourseRun, CourseRun.currency == "USD") == 134
    noted = Counter(reason for _outcome, row in reasons(batch) for reason in row)
    assert (noted["undated"], noted["second_currency"]) == (4, 1)
    assert take("mit-sloan", *contents, capacity=30).counts == {
        "course:unchanged": 99,
        "run:unchanged": 134,
        "run:refused": 3,
    }


def test_a_dry_run_leaves_its_report_alone(app):
    batch = take("icourse163", csv_of("1,北京大学,书法,4周,2小时,视频,艺术,10,http://x/course/PKU-1"), is_dry_run=True)

    assert batch.counts == {"course:accepted": 1}
    assert (count(Course), count(Organisation), count(Category), count(ImportRow)) == (0, 0, 0, 1)


def test_a_changed_row_changes_its_course(app):
    take("icourse163", csv_of("1,北京大学,书法,4周,2小时,视频,艺术,10,http://x/course/PKU-1"))
    batch = take("icourse163", csv_of("1,北京大学,书法入门,4周,2小时,视频,,10,http://x/course/PKU-1"))

    course = db.session.scalars(select(Course)).one()
    assert batch.counts == {"course:changed": 1}
    assert (course.title_zh, course.category_id) == ("书法入门", None)
    assert search.find_courses(search.Wish(words="入门")).total == 1


def test_faulty_rows_are_refused_one_by_one(app):
    batch = take(
        "icourse163",
        csv_of(
            "1,北京大学,书法,4周,2小时,视频,艺术,10,http://x/course/PKU-1",
            "2,北京大学,,4周,2小时,视频,艺术,10,http://x/course/PKU-2",
            "3,北京大学,音乐,4周,2小时,视频,艺术,10,",
            "4,北京大学,电影,4周,2小时,视频,艺术,10,http://x/course/PKU-1",
        ),
    )

    assert [(outcome, why) for outcome, why in reasons(batch)] == [
        ("accepted", []),
        ("refused", ["title_missing"]),
        ("refused", ["key_missing"]),
        ("refused", ["key_repeated"]),
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"Course_Id": "b2"}, "course_unknown"),
        ({"Start_Date": "March"}, "date_unreadable"),
        ({"End_Date": "2027-02-01"}, "dates_reversed"),
        ({"Price": "free"}, "price_unreadable"),
        ({"Price": "-1"}, "price_negative"),
    ],
)
def test_a_faulty_run_is_refused_with_its_reason(app, change, reason):
    assert reasons(sloan([RUN | change]))[1] == ("refused", [reason])


def test_a_dated_run_is_sold_only_when_its_seats_are_said(app):
    sloan([RUN])
    assert db.session.scalar(select(CourseRun.state)) == "draft"

    sloan([RUN | {"CO_Title": "LC 2"}], capacity=12)
    run = db.session.scalars(select(CourseRun).filter_by(source_key="a1:LC 2")).one()
    assert (run.state, run.capacity, run.price_minor, run.currency) == ("scheduled", 12, 145000, "USD")
    assert run.enrol_closes_at.astimezone(run.tzinfo).isoformat() == "2027-03-01T00:00:00-05:00"


@pytest.mark.parametrize(
    ("source", "contents"),
    [
        ("icourse163", [b"a,b\n1,2\n"]),
        ("icourse163", ["书法".encode("gb18030")]),
        ("mit-sloan", [b"{}", b"[]"]),
        ("mit-sloan", [b"[", b"[]"]),
    ],
)
def test_a_file_that_is_something_else_is_refused_whole(app, source, contents):
    with pytest.raises(FileFault):
        take(source, *contents)
    assert count(Course) == 0


def test_the_digital_skills_of_esco_are_taken_once(app, shared_data):
    content = (shared_data / "esco" / "digitalSkillsCollection_en.csv").read_bytes()

    assert esco.import_skills(content) == (1284, 0)
    assert esco.import_skills(content) == (0, 0)
    assert count(Skill, Skill.framework == esco.FRAMEWORK) == 1284
    with pytest.raises(FileFault):
        esco.import_skills(b"a,b\n")
