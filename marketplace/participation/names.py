"""What the statuses are called."""

from __future__ import annotations

from marketplace.foundation.i18n import lazy
from marketplace.participation.rules import Status

STATUSES = {
    Status.PRESENT: lazy("Present"),
    Status.ABSENT: lazy("Absent"),
    Status.EXCUSED: lazy("Excused"),
}
SOURCES = {"register": lazy("in the register"), "upload": lazy("from a file"), "import": lazy("imported")}
