"""Real catalogues: every known fact about them ends in a stated way, and sending them again changes nothing."""

import json
from collections import Counter

import pytest
from sqlalchemy import func, select

from marketplace.accounts.models import Organisation
from marketplace.catalog import imports, search, skills
from marketplace.catalog.models import Course, CourseRun, CourseSkill, Skill
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import db
from marketplace.foundation.errors import Invalid


def take(mapping, content, **options):
    given = {"file_name": "file", "is_dry_run": False, "person_id": None, "now": clock.now()}
    import_id = imports.begin(mapping, content, **(given | options)).id
    jobs.run_pending()
    return import_id


def count(model, *conditions):
    return db.session.scalar(select(func.count()).select_from(model).where(*conditions))


def codes(made):
    """Each note's code and how many rows it is said about."""
    rows = imports.list_rows(made, told_only=True)
    return Counter(code for row in rows for code, _values in row.notes)


@pytest.fixture
def icourse163(shared_data):
    return (shared_data / "catalogue-icourse163" / "mooc.csv").read_bytes()


@pytest.fixture
def sloan_courses(shared_data):
    return (shared_data / "catalogue-mit-sloan" / "test_sloan_courses.json").read_bytes()


@pytest.fixture
def sloan_runs(shared_data):
    return (shared_data / "catalogue-mit-sloan" / "test_sloan_runs.json").read_bytes()


def test_icourse163_loads_whole_once_and_is_found(app, icourse163):
    made = take("icourse163", icourse163)

    assert imports.count_outcomes(made) == {"accepted": 1219}
    assert (count(Course), count(Organisation)) == (1219, 126)
    # 202 rows say no category; 1,017 name one that is not ours; 4 repeat a title of their provider.
    assert codes(made) == {"category": 1017, "duplicate": 4}
    assert count(Course, Course.category_id.is_(None)) == 1219

    again = take("icourse163", icourse163)
    assert imports.count_outcomes(again) == {"unchanged": 1219}
    assert (count(Course), count(Organisation)) == (1219, 126)

    wanted = {"设计": 83, "概论": 29, "文化": 26, "数据": 25, "艺术": 18, "书法": 6, "音乐": 3, "摄影": 3, "动画": 3}
    for words, number in (wanted | {"电影": 1}).items():
        assert search.find_courses(search.Wish(words=words, order="relevance"), now=clock.now()).total >= number


def test_sloan_loads_whole_and_its_faults_are_told(app, sloan_courses, sloan_runs):
    courses = take("mit-sloan-courses", sloan_courses)
    runs = take("mit-sloan-runs", sloan_runs)

    assert imports.count_outcomes(courses) == {"accepted": 99}
    assert imports.count_outcomes(runs) == {"accepted": 134, "refused": 3}
    assert codes(runs) == {"orphan": 3, "undated": 4, "currency": 1}
    assert count(CourseRun, CourseRun.state == "draft", CourseRun.starts_at.is_(None)) == 4
    assert count(CourseRun, CourseRun.currency != "USD") == 0
    assert db.session.scalar(select(func.min(CourseRun.price_minor))) == 145000
    assert db.session.scalar(select(func.max(CourseRun.price_minor))) == 7300000
    assert db.session.scalar(select(func.count(CourseRun.course_id.distinct()))) == 91
    assert count(CourseSkill, CourseSkill.skill_id.is_not(None)) == 0
    assert imports.count_outcomes(take("mit-sloan-runs", sloan_runs)) == {"unchanged": 134, "refused": 3}


def test_a_dry_run_tells_the_same_and_writes_nothing(app, sloan_courses):
    made = take("mit-sloan-courses", sloan_courses, is_dry_run=True)

    assert imports.count_outcomes(made) == {"accepted": 99}
    assert (count(Course), count(Organisation)) == (0, 0)


def sloan(**changes):
    row = {"Course_Id": "a", "Title": "Leading", "Description": "About it", "Topics": "Business", "URL": ""}
    return row | changes


def test_what_the_source_changed_is_changed_here(app):
    take("mit-sloan-courses", json.dumps([sloan(), sloan(Course_Id="b", Title="Other")]).encode())

    made = take(
        "mit-sloan-courses", json.dumps([sloan(Title="Leading well"), sloan(Course_Id="b", Title="Other")]).encode()
    )

    assert [row.outcome for row in imports.list_rows(made)] == ["changed", "unchanged"]
    assert search.find_courses(search.Wish(words="well"), now=clock.now()).total == 1


def test_rows_that_cannot_be_taken_say_why(app):
    rows = [sloan(Title="", Course_Id="b"), sloan(), sloan(Title="Twice")]

    made = take("mit-sloan-courses", json.dumps(rows).encode())

    assert [(row.outcome, imports.notes_of(row)) for row in imports.list_rows(made)] == [
        ("refused", ["课程需要有标识、名称和办学机构。"]),
        ("accepted", []),
        ("refused", ["文件中此标识出现两次，以第一行为准。"]),
    ]
    assert count(Course) == 1


def test_rows_no_table_could_hold_do_not_stop_the_others(app):
    take("mit-sloan-courses", json.dumps([sloan()]).encode())
    plain = {"Course_Id": "a", "Price": "5", "Delivery": "Online"}
    rows = [
        plain | {"CO_Title": "below nothing", "Price": "-5"},
        plain | {"CO_Title": "beyond counting", "Price": "1e25"},
        plain | {"CO_Title": "first year", "Start_Date": "0001-01-01", "End_Date": "0001-01-02"},
        plain | {"CO_Title": "last year", "Start_Date": "9999-12-31", "End_Date": "9999-12-31"},
        plain | {"CO_Title": "a NUL \0 and half of a pair \ud83d", "Location": "x\0"},
        plain | {"CO_Title": "x" * 3000},
        plain | {"CO_Title": "the others"},
    ]

    made = take("mit-sloan-runs", json.dumps(rows).encode())

    outcomes = [row.outcome for row in imports.list_rows(made)]
    assert outcomes == ["refused", "refused", "accepted", "accepted", "accepted", "refused", "accepted"]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"[1]", b"[" * 100_000, b"[{", b"a,b\n1,2\n", b"[]"])
def test_what_is_no_such_file_is_refused_at_once(app, content):
    with pytest.raises(Invalid):
        take("mit-sloan-courses", content)


def test_esco_skills_are_known_by_their_uri(app, shared_data):
    content = (shared_data / "esco" / "digitalSkillsCollection_en.csv").read_bytes()

    assert skills.import_esco(content) == 1284
    assert skills.import_esco(content) == 1284
    assert skills.count_skills() == count(Skill) == 1284


def test_esco_skills_are_read_like_any_csv_file_and_nothing_else_is(app):
    lines = ["conceptUri,preferredLabel,description", "uri:1,café,", "uri:2,short"]
    assert skills.import_esco("\r".join(lines).encode("gb18030")) == 2

    for content in (b"PK\x03\x04\x00\x00", b"a,b\n1,2\n"):
        with pytest.raises(Invalid):
            skills.import_esco(content)
    assert {skill.label_en for skill in db.session.scalars(select(Skill))} == {"café", "short"}


def test_the_command_tells_what_deserves_a_word(app, tmp_path):
    file = tmp_path / "courses.json"
    file.write_text(json.dumps([sloan(), sloan(Course_Id="b", Title="")]))

    result = app.test_cli_runner().invoke(args=["catalog", "import", "mit-sloan-courses", str(file)])

    assert result.exit_code == 0, result.output
    assert "2\trefused\tb\t" in result.output
    assert result.output.endswith("1 accepted, 1 refused\n")
