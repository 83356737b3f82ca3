"""The blueprint that the room's doors share."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("metrics", __name__)
