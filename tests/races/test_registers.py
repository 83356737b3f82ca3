"""Registers and files of one run, saved at the same time."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from sqlalchemy import func, select

from marketplace.enrolment.models import Enrolment
from marketplace.foundation import clock
from marketplace.foundation.database import add, db, transaction
from marketplace.participation import registers, uploads
from marketplace.participation.models import Attendance
from marketplace.participation.registers import Mark
from tests.factories import make_person, make_run

HANDS, ROUNDS, PEOPLE = 4, 10, 6


def test_files_and_registers_of_one_run_never_wait_for_one_another(race_app):
    with race_app.app_context():
        run = make_run()
        sessions = [session.id for session in run.sessions]
        people = [make_person() for _ in range(PEOPLE)]
        with transaction():
            enrolled = [
                add(Enrolment(run_id=run.id, person_id=one.id, enrolled_at=clock.now(), ended_at=None, end_reason=None))
                for one in people
            ]
        names, addresses = [one.public_id for one in enrolled], [one.email for one in people]
        starts, run_id, actor_id = run.sessions[-1].starts_at, run.id, people[0].id
    clock.set_to(starts)
    barrier = Barrier(HANDS)

    def from_a_file(status):
        lines = [f"{address},{number},{status},corrected" for number in (1, 2) for address in addresses]
        content = "\n".join(["email,session,status,reason", *lines]).encode()
        made = uploads.begin(run_id, content, file_name="x.csv", actor_id=actor_id, now=clock.now())
        uploads.take_in.func(upload_id=made.id)

    def by_hand(status):
        for session_id in reversed(sessions):
            marks = {name: Mark(status, "corrected") for name in names}
            registers.mark(session_id, marks, actor_id=actor_id, now=clock.now())

    def work(hand):
        barrier.wait()
        for turn in range(ROUNDS):
            with race_app.app_context():
                (from_a_file if hand % 2 else by_hand)(("present", "absent")[turn % 2])

    with ThreadPoolExecutor(HANDS) as pool:
        list(pool.map(work, range(HANDS)))

    with race_app.app_context():
        latest = registers.rosters.latest_marks(run_id)
        assert len(latest) == PEOPLE * len(sessions)
        assert db.session.scalar(select(func.count()).select_from(Attendance)) >= len(latest)
