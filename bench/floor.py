"""The floors: the least a Flask application can do for a page and for an order, on the same server and database."""

from __future__ import annotations

import os

from flask import Flask, render_template, request
from psycopg_pool import ConnectionPool

app = Flask(__name__)
pool = ConnectionPool(os.environ["DATABASE_URL"], min_size=4, max_size=8, open=False)
PAGE = app.jinja_env.from_string("""<!doctype html><html lang="en"><title>{{ row[1] }}</title><h1>{{ row[1] }}</h1>
<p>{{ row[2] }}</p><ul>{% for number in range(24) %}<li>{{ number }} {{ row[1] }}</li>{% endfor %}</ul></html>""")


@app.get("/healthz")
def healthz() -> str:
    """Opens the pool in each worker."""
    pool.open()
    return "ok"


@app.get("/page/<public_id>")
def page(public_id: str) -> str:
    """One indexed query and one template, compiled once as templates of files are."""
    pool.open()
    with pool.connection() as connection:
        query = "SELECT id, title_en, summary_en FROM course WHERE public_id = %s"
        row = connection.execute(query, (public_id,)).fetchone()
    return render_template(PAGE, row=row)


@app.post("/order")
def order() -> str:
    """Lock a row, count a seat, write a row: the least that selling a seat can be."""
    pool.open()
    with pool.connection() as connection:
        run = int(request.form["run"])
        connection.execute("SELECT taken FROM floor_run WHERE id = %s FOR UPDATE", (run,))
        connection.execute("UPDATE floor_run SET taken = taken + 1 WHERE id = %s", (run,))
        connection.execute("INSERT INTO floor_order (run_id) VALUES (%s)", (run,))
    return "ok"
