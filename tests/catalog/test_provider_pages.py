from __future__ import annotations

import json
import re
from datetime import timedelta

from marketplace.catalog import provider_pages, search
from marketplace.catalog.models import Category, CourseProvider
from marketplace.foundation import clock
from marketplace.foundation.database import add, db, transaction
from tests.factories import make_course, make_organisation, make_run

DAY = timedelta(days=1)


def indexed(*courses):
    with transaction():
        for course in courses:
            db.session.refresh(course)
            search.index_course(course, now=clock.now())


def test_the_next_runs_are_those_one_can_enrol_in(app):
    now = clock.now()
    provider = make_organisation()
    course = make_course(provider)
    late, soon, full = (
        make_run(course, sessions=1, starts_at=now + 40 * DAY, ends_at=now + 41 * DAY),
        make_run(course),
        make_run(course, capacity=0),
    )
    make_run(course, enrol_opens_at=now + DAY)
    make_run(course, state="cancelled")
    make_run(make_course(provider, state="draft"))
    make_run()

    assert provider_pages.next_runs(provider.id, now=now) == [soon, full, late]


def test_partners_are_counted_by_the_courses_taught_together(app):
    provider, often, once = make_organisation(), make_organisation(), make_organisation()
    for partner, state in ((often, "published"), (often, "published"), (once, "published"), (once, "draft")):
        course = make_course(provider, state=state)
        with transaction():
            add(CourseProvider(course_id=course.id, organisation_id=partner.id, role="co", position=1))

    found = [(one.organisation, one.courses) for one in provider_pages.partners(provider.id)]
    assert found == [(often, 2), (once, 1)]


def test_a_provider_of_many_courses_is_narrowed_by_field(client):
    provider = make_organisation()
    with transaction():
        games, sound = (
            add(Category(code=code, name_zh=code, name_en=code.title(), position=position))
            for position, code in enumerate(("games", "sound"))
        )
    few = [make_course(provider, category_id=sound.id, title_en=f"Sound {number}") for number in range(2)]
    indexed(*few, *(make_course(provider, category_id=games.id, title_en=f"Game {number}") for number in range(5)))

    address = f"/providers/{provider.public_id}"
    page = client.get(f"{address}?lang=en").text
    assert f'href="{address}?category=games"' in page
    page = client.get(f"{address}?category=sound&lang=en").text
    assert ("Sound 1" in page, "Game 1" in page) == (True, False)
    assert f'href="{address}" aria-current="true"' in page


def test_a_provider_describes_itself_to_search_engines_in_each_language(client):
    provider = make_organisation(
        name_zh="澄江大学", name_en="Chengjiang", summary_zh="一所大学", summary_en="A university", city_en="Shanghai"
    )
    address = f"http://localhost/providers/{provider.public_id}"

    page = client.get(f"/providers/{provider.public_id}?lang=en").text
    data = json.loads(re.search(r'<script type="application/ld\+json"[^>]*>(.*?)</script>', page, re.DOTALL)[1])
    assert (data["@type"], data["name"], data["alternateName"]) == ("CollegeOrUniversity", "Chengjiang", "澄江大学")
    assert data["address"] == {"@type": "PostalAddress", "addressLocality": "Shanghai", "addressCountry": "CN"}
    assert f'<link rel="canonical" href="{address}?lang=en">' in page
    assert f'<link rel="alternate" hreflang="zh-Hans" href="{address}?lang=zh">' in page
    assert '<p class="meta" lang="zh-Hans-CN">一所大学</p>' in page


def test_the_sitemap_names_providers_with_a_published_course(client):
    course = make_course()
    provider, other = course.providers[0].organisation, make_organisation()

    page = client.get("/sitemap.xml").text
    assert f"<loc>http://localhost/providers/{provider.public_id}?lang=zh</loc>" in page
    assert other.public_id not in page
