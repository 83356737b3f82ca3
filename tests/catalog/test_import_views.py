import io
import json

import pytest

from marketplace.catalog.models import Course
from marketplace.foundation import jobs
from marketplace.foundation.database import db
from tests.factories import make_person, make_staff, sign_in

ROW = {"Course_Id": "=1+1", "Title": "", "Description": "", "Topics": "", "URL": ""}


@pytest.fixture
def reviewer(app, client):
    return sign_in(client, make_staff("reviewer", locale="en"))


def send(client, content, **form):
    data = {"mapping": "mit-sloan-courses", "file": (io.BytesIO(content), "courses.json")} | form
    return client.post("/staff/imports", data=data)


def test_a_file_is_taken_in_by_a_job_and_told_row_by_row(reviewer):
    answer = send(reviewer, json.dumps([ROW]).encode())
    report = answer.headers["Location"]
    assert "The file is being worked through" in reviewer.get(report).text

    jobs.run_pending()

    assert "A course needs a key, a title and a provider." in reviewer.get(report).text
    sheet = reviewer.get(f"{report}.csv")
    assert sheet.data.decode("utf-8-sig").splitlines() == [
        "Row,Key,Outcome,Note",
        '1,\'=1+1,Refused,"A course needs a key, a title and a provider."',
    ]
    assert "courses.json" in reviewer.get("/staff/imports").text


def test_what_is_no_catalogue_is_refused_on_the_page(reviewer):
    answer = send(reviewer, b"hello")

    assert answer.status_code == 422
    assert "The file lacks these columns: Course_Id, Title." in answer.text


def test_only_reviewers_take_files_in(app, client):
    sign_in(client, make_person())

    assert client.get("/staff/imports").status_code == 403


TABLE = "编号,名称,学校\n1,数字修复,澄江大学\n2,,澄江大学\n".encode()
PLAN = {"kind": "courses", "source": "academy", "zone": "Asia/Shanghai", "currency": "CNY"}
COLUMNS = {"courses-key": "编号", "courses-title_zh": "名称", "courses-provider": "学校"}


def test_any_table_is_mapped_tried_and_taken_in(reviewer):
    columns = send(reviewer, TABLE, mapping="own").headers["Location"]
    assert "数字修复" in reviewer.get(columns).text
    lacking = reviewer.post(columns, data=PLAN | COLUMNS | {"courses-provider": ""})
    assert "Every row needs this: choose its column." in lacking.text

    report = reviewer.post(columns, data=PLAN | COLUMNS | {"is_dry_run": "y"}).headers["Location"]
    assert "hx-trigger" in reviewer.get(report).text
    jobs.run_pending()
    assert "This was a dry run: nothing was changed" in reviewer.get(report).text
    assert db.session.query(Course).count() == 0

    reviewer.post(f"{report}/again")
    jobs.run_pending()
    assert [(course.source, course.source_key) for course in db.session.query(Course)] == [("academy", "1")]
    again = send(reviewer, TABLE, mapping="own").headers["Location"]
    assert 'value="academy"' in reviewer.get(again).text
    assert '<option value="编号" selected>' in reviewer.get(again).text


def test_a_file_is_mapped_once_and_only_a_dry_run_is_repeated(reviewer):
    columns = send(reviewer, TABLE, mapping="own").headers["Location"]
    report = reviewer.post(columns, data=PLAN | COLUMNS).headers["Location"]
    jobs.run_pending()

    assert reviewer.get(columns).headers["Location"] == report
    assert "Only a dry run" in reviewer.post(f"{report}/again", follow_redirects=True).text


def test_an_empty_table_is_refused(reviewer):
    assert "The file has no rows." in send(reviewer, b"a,b\n", mapping="own").text
