"""The doors of teaching and of one's own progress."""

import re
from datetime import timedelta
from io import BytesIO

import pytest

from marketplace.enrolment.models import Enrolment
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import add, db, transaction
from marketplace.participation import uploads
from marketplace.participation.models import Attendance, Completion
from marketplace.participation.upload_models import AttendanceUpload
from tests.factories import make_course, make_member, make_organisation, make_person, make_run, sign_in


@pytest.fixture
def provider(app):
    return make_organisation()


@pytest.fixture
def run(provider):
    """A run of two sessions; the second one has just ended."""
    return make_run(
        make_course(provider),
        starts_at=clock.now() - timedelta(days=7, hours=3, minutes=1),
        enrol_opens_at=clock.now() - timedelta(days=60),
        enrol_closes_at=clock.now() - timedelta(days=8),
    )


@pytest.fixture
def teacher(client, provider):
    return sign_in(client, make_member(provider, "instructor", locale="en"))


def enrol(run, **values):
    with transaction():
        person = make_person(**values)
        return add(Enrolment(run_id=run.id, person_id=person.id, enrolled_at=clock.now() - timedelta(days=9)))


def register(run, position=1):
    return f"/sessions/{run.sessions[position - 1].public_id}/register?lang=en"


def marks():
    query = db.session.query(Attendance).order_by(Attendance.id)
    return [(mark.enrolment_id, mark.session.position, mark.status, mark.source, mark.reason) for mark in query]


def test_a_register_is_marked_corrected_with_a_reason_and_keeps_its_trail(run, teacher):
    li, wang = enrol(run, name="Li"), enrol(run, name="Wang")

    answer = teacher.post(
        register(run), data={f"status-{li.public_id}": "present", f"status-{wang.public_id}": "absent"}
    )
    assert (answer.status_code, answer.location) == (303, register(run).removesuffix("?lang=en"))
    refused = teacher.post(register(run), data={f"status-{wang.public_id}": "present"})
    assert refused.status_code == 422
    assert "Say why you correct a mark" in refused.text
    teacher.post(register(run), data={f"status-{wang.public_id}": "present", f"reason-{wang.public_id}": "came late"})

    assert marks() == [
        (li.id, 1, "present", "register", ""),
        (wang.id, 1, "absent", "register", ""),
        (wang.id, 1, "present", "register", "came late"),
    ]
    assert "came late" in teacher.get(register(run)).text


def test_the_same_register_sent_twice_writes_once(run, teacher):
    data = {f"status-{enrol(run).public_id}": "present"}

    assert [teacher.post(register(run), data=data).status_code for _ in range(2)] == [303, 303]
    assert len(marks()) == 1


def test_a_register_cannot_be_marked_long_before_its_session(provider, teacher):
    run = make_run(make_course(provider))
    person = enrol(run)

    assert teacher.post(register(run), data={f"status-{person.public_id}": "present"}).status_code == 409
    assert marks() == []


def test_someone_of_another_run_is_not_on_the_register(run, provider, teacher):
    stranger = enrol(make_run(make_course(provider)))

    assert teacher.post(register(run), data={f"status-{stranger.public_id}": "present"}).status_code == 404
    assert marks() == []


def test_completing_shows_to_the_teacher_and_to_the_learner(run, teacher, client):
    li = enrol(run, name="Li", locale="en")
    for position in (1, 2):
        teacher.post(register(run, position), data={f"status-{li.public_id}": "present"})

    completion = db.session.query(Completion).one()
    assert (completion.enrolment_id, completion.completed_at) == (li.id, run.sessions[1].ends_at)
    assert completion.evidence == {
        "present": 2,
        "excused": 0,
        "sessions": 2,
        "attendance_percent": 80,
        "needs_pass": False,
        "assessment": None,
    }
    assert "Completed" in teacher.get(f"/runs/{run.public_id}/roster?lang=en").text
    own = sign_in(client, li.person).get(f"/my/progress/{li.public_id}?lang=en")
    assert "You completed this run on" in own.text


def test_a_correction_after_completion_leaves_the_fact_and_says_it_is_in_doubt(run, teacher):
    li = enrol(run)
    for position in (1, 2):
        teacher.post(register(run, position), data={f"status-{li.public_id}": "present"})
    teacher.post(register(run, 2), data={f"status-{li.public_id}": "absent", f"reason-{li.public_id}": "wrong person"})

    assert db.session.query(Completion).count() == 1
    assert "Completed, in doubt since a correction" in teacher.get(f"/runs/{run.public_id}/roster?lang=en").text


def test_results_complete_a_run_that_asks_for_a_pass(run, teacher):
    run.completion_needs_pass = True
    passed, failed = enrol(run), enrol(run)
    for position in (1, 2):
        marked = {f"status-{one.public_id}": "present" for one in (passed, failed)}
        teacher.post(register(run, position), data=marked)
    assert db.session.query(Completion).count() == 0
    results = {f"result-{passed.public_id}": "pass", f"result-{failed.public_id}": "fail"}
    answer = teacher.post(f"/runs/{run.public_id}/results", data=results)

    assert answer.status_code == 303
    assert [done.enrolment_id for done in db.session.query(Completion)] == [passed.id]
    assert teacher.get(f"/runs/{run.public_id}/results?lang=en").status_code == 200


def test_a_file_is_taken_row_by_row(run, teacher):
    li, wang = enrol(run, email="li@example.com"), enrol(run, email="wang@example.com")
    text = (
        "Email,Session,Status,Reason\n"
        "li@example.com,1,出勤,\n"
        "Wang@Example.com,1,absent,\n"
        "nobody@example.com,1,present,\n"
        "li@example.com,9,present,\n"
        "li@example.com,2,maybe,\n"
        "li@example.com,1,absent,\n"
    )
    data = {"file": (BytesIO(text.encode("gb18030")), "marks.csv")}
    answer = teacher.post(f"/runs/{run.public_id}/attendance?lang=en", data=data)
    page = answer.headers["Location"]
    assert (answer.status_code, "The file is being worked through" in teacher.get(f"{page}?lang=en").text) == (
        303,
        True,
    )
    jobs.run_pending()

    assert marks() == [(li.id, 1, "present", "upload", ""), (wang.id, 1, "absent", "upload", "")]
    for sentence in (
        "2 rows accepted",
        "4 rows refused.",
        "Nobody with this e-mail address is on the roster.",
        "The run has no session with this number.",
        "Choose present, absent or excused.",
        "An earlier row of this file is about the same person and session.",
    ):
        assert sentence in teacher.get(f"{page}?lang=en").text
    upload = db.session.query(AttendanceUpload).one()
    assert uploads.list_refused(upload.id)[0].refusal["zh"] == "名册中没有使用此邮箱的学员。"
    assert db.session.query(AttendanceUpload.content).scalar() == b""
    stranger = sign_in(teacher, make_member(make_organisation(), "registrar"))
    assert stranger.get(page).status_code == 404


def test_a_file_larger_than_a_batch_is_taken_once_and_forgotten_after_a_month(run, teacher, monkeypatch):
    monkeypatch.setattr(uploads, "BATCH", 2)
    people = [enrol(run, email=f"learner{number}@example.com") for number in range(5)]
    lines = [f"learner{number}@example.com,1,present" for number in range(5)]
    text = "\n".join(["email,session,status", *lines, lines[0]])
    upload = uploads.begin(run.id, text.encode(), file_name="x.csv", actor_id=people[0].person_id, now=clock.now())
    upload_id = upload.id
    jobs.run_pending()
    uploads.take_in.func(upload_id=upload_id)

    assert [mark[:3] for mark in marks()] == [(one.id, 1, "present") for one in people]
    assert [row.number for row in uploads.list_refused(upload_id)] == [7]
    assert uploads.forget_uploads(now=clock.now()) == 0
    assert uploads.forget_uploads(now=clock.now() + uploads.KEEP_FOR) == 6
    assert len(marks()) == 5


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"name,day\nx,1\n", "The file lacks these columns: email, session, status."),
        (b"\xff\xff\xff", "The file is not a CSV text."),
        (b"", "The file lacks these columns"),
    ],
)
def test_a_file_that_is_none_is_refused_whole(run, teacher, content, sentence):
    answer = teacher.post(f"/runs/{run.public_id}/attendance?lang=en", data={"file": (BytesIO(content), "x.csv")})

    assert answer.status_code == 422
    assert sentence in answer.text


def test_the_roster_as_a_file_opens_in_excel_and_holds_no_formula(run, teacher):
    enrol(run, name="=1+1", email="li@example.com")
    answer = teacher.get(f"/runs/{run.public_id}/roster.csv?lang=en")

    assert answer.data.decode("utf-8-sig").splitlines() == [
        "email,session,status,reason,Name,State",
        "li@example.com,1,,,'=1+1,",
        "li@example.com,2,,,'=1+1,",
    ]
    assert answer.data.startswith(b"\xef\xbb\xbf")


def test_suspended_people_are_marked_on_roster_and_register_and_complete_nothing(run, teacher):
    li = enrol(run, name="Li")
    assert "Suspended" not in teacher.get(f"/runs/{run.public_id}/roster?lang=en").text
    with transaction():
        li.suspended_at = clock.now()

    for position in (1, 2):
        teacher.post(register(run, position), data={f"status-{li.public_id}": "present"})

    assert "Some places are suspended" in teacher.get(f"/runs/{run.public_id}/roster?lang=en").text
    assert "Suspended" in teacher.get(register(run)).text
    assert ",Li,Suspended" in teacher.get(f"/runs/{run.public_id}/roster.csv?lang=en").text
    assert (len(marks()), db.session.query(Completion).count()) == (2, 0)


def test_what_belongs_to_others_does_not_exist(run, client):
    li = enrol(run)
    sign_in(client, make_member(make_organisation(), "registrar"))
    for address in (f"/runs/{run.public_id}/roster", register(run), f"/my/progress/{li.public_id}"):
        assert client.get(address).status_code == 404


def test_an_editor_keeps_no_register(run, provider, client):
    sign_in(client, make_member(provider, "editor"))

    assert client.get(register(run)).status_code == 403


def test_a_long_list_of_runs_is_read_in_pages(run, teacher):
    with transaction():
        for number in range(52):
            later = timedelta(hours=number // 2)
            make_run(course=run.course, starts_at=run.starts_at + later, ends_at=run.ends_at + later)
    page, seen = teacher.get("/teaching?lang=en").text, []
    for _ in range(2):
        seen += re.findall(r"/runs/(\w{12})/roster", page)
        following = re.findall(r'rel="next" href="([^"]+)"', page)
        page = teacher.get(following[0]).text if following else ""
    assert (len(seen), len(set(seen)), page) == (53, 53, "")


def test_teaching_lists_my_organisations_runs(run, teacher):
    enrol(run)
    page = teacher.get("/teaching?lang=en").text

    assert run.course.title_en in page
