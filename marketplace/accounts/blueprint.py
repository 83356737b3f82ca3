"""The blueprint that this room's doors are hung on."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("accounts", __name__)
