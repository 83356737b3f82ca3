import io
import json

import pytest

from marketplace.foundation import jobs
from tests.factories import make_person, make_staff, sign_in

ROW = {"Course_Id": "=1+1", "Title": "", "Description": "", "Topics": "", "URL": ""}


@pytest.fixture
def reviewer(app, client):
    return sign_in(client, make_staff("reviewer", locale="en"))


def send(client, content, **form):
    data = {"mapping": "mit-sloan-courses", "file": (io.BytesIO(content), "courses.json")} | form
    return client.post("/manage/imports", data=data)


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
    assert "courses.json" in reviewer.get("/manage/imports").text


def test_what_is_no_catalogue_is_refused_on_the_page(reviewer):
    answer = send(reviewer, b"hello")

    assert answer.status_code == 422
    assert "The file lacks these columns: Course_Id, Title." in answer.text


def test_only_reviewers_take_files_in(app, client):
    sign_in(client, make_person())

    assert client.get("/manage/imports").status_code == 403
