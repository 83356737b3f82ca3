"""Rules of the house that no linter knows: who commits, who asks the time, who speaks to what."""

import ast
import re
import sys

import pytest

from tests.architecture.source import Module, modules

LONGEST_FILE = 400
LONGEST_FUNCTION = 60
LONGEST_VIEW = 15

# Doors, and the rooms' own set-up; everything else is told what it needs by its arguments.
DOORS = {"views", "forms", "webhooks", "cli", "permissions", "security", "throttle"}
# It stands for another company's server, with its own clock and its own pages.
SANDBOX = "marketplace/payments/sandbox/"
RULES_MAY_IMPORT = re.compile(
    r"marketplace\.foundation\.(money|errors|i18n|csv_files)\.|marketplace\.\w+\.rules|marketplace\.\w+\.(\w+_)?(rules|states)\."
)


def named(*kinds: str) -> list[Module]:
    return [module for module in modules() if re.search(rf"(^|_)({'|'.join(kinds)})$", module.path.stem)]


def calls(module: Module, *names: str) -> list[str]:
    """Where one of these dotted names is called."""
    return [
        f"{module.name}:{node.lineno} {ast.unparse(node.func)}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and re.search(rf"(^|\.)({'|'.join(names)})$", ast.unparse(node.func))
    ]


def importing(name: str) -> list[str]:
    """Names of the modules that import a package at run time."""
    return sorted(
        {
            module.name
            for module in modules()
            for _, imported in module.imports()
            if imported == name or imported.startswith(f"{name}.")
        }
    )


def test_only_transaction_commits():
    found = [call for module in modules() for call in calls(module, r"session\.commit", r"session\(\)\.commit")]

    assert [place for place in found if not place.startswith("marketplace/foundation/database.py")] == []


def test_only_the_clock_asks_the_time():
    asks = (r"datetime\.now", r"datetime\.utcnow", r"datetime\.today", r"date\.today", r"time\.time")
    found = [call for module in modules() for call in calls(module, *asks)]

    assert [place for place in found if not place.startswith(("marketplace/foundation/clock.py", SANDBOX))] == []


def test_only_the_gateway_speaks_stripe():
    assert set(importing("stripe")) <= {"marketplace/payments/stripe_gateway.py"}


def test_rules_are_pure():
    impure = [
        f"{module.name}:{line} {imported}"
        for module in named("rules", "states")
        for line, imported in module.imports()
        if imported.partition(".")[0] not in sys.stdlib_module_names and not RULES_MAY_IMPORT.match(imported)
    ]

    assert impure == []


def test_only_doors_and_the_foundation_know_flask():
    knowing = [
        f"{module.name}:{line} {imported}"
        for module in modules()
        if module.room not in {"", "foundation"}
        and not module.name.startswith(SANDBOX)
        and not re.search(rf"(^|_)({'|'.join(DOORS)})$", module.path.stem)
        for line, imported in module.imports()
        if imported in {"flask.request", "flask.session", "flask.g", "flask.redirect", "flask.render_template"}
    ]

    assert knowing == []


def test_a_form_is_opened_by_its_own_room():
    foreign = [
        f"{module.name}:{line} {imported}"
        for module in modules()
        for line, imported in module.imports()
        if (found := re.match(r"marketplace\.(\w+)\.(\w+_)?forms\b", imported)) and found[1] != module.room
    ]

    assert foreign == []


def test_imports_stand_at_the_top_or_say_why_not():
    lines = {module.name: module.text.splitlines() for module in modules()}
    hidden = [
        f"{module.name}:{node.lineno}"
        for module in modules()
        for function in module.functions()
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom) and " - " not in lines[module.name][node.lineno - 1]
    ]

    assert hidden == []


def test_no_broad_except():
    broad = [
        f"{module.name}:{node.lineno}"
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"})
        and not any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
    ]

    assert broad == []


def test_a_room_has_no_drawer_for_everything():
    drawers = {"utils", "helpers", "services", "managers", "common", "misc"}

    assert [module.name for module in modules() if module.path.stem in drawers or module.room in drawers] == []


def test_files_stay_short():
    assert [m.name for m in modules() if m.text.count("\n") > LONGEST_FILE] == []


@pytest.mark.parametrize(
    ("kinds", "longest"), [((r"\w+",), LONGEST_FUNCTION), (("views", "webhooks"), 2 * LONGEST_VIEW)]
)
def test_functions_stay_short(kinds, longest):
    long = [
        f"{module.name}:{function.lineno} {function.name} ({length})"
        for module in named(*kinds)
        for function in module.functions()
        if (length := (function.end_lineno or 0) - function.lineno + 1) > longest
    ]

    assert long == []
