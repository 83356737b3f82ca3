"""The README names places and commands that exist."""

import re

from tests.architecture.source import ROOT, modules

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_where_things_happen_is_true():
    defined = {module.name: module.text for module in modules()}
    named = re.findall(r"`(marketplace/[\w/]+\.py):(\w+)`", README)

    assert named
    vanished = [
        (path, name) for path, name in named if not re.search(rf"(?m)^(def|class) {name}\b", defined.get(path, ""))
    ]
    assert vanished == []


def test_every_chore_is_listed(app):
    groups = app.cli.commands
    chores = {
        f"{group} {name}" if hasattr(command, "commands") else group
        for group, command in groups.items()
        for name in getattr(command, "commands", {group: None})
    }
    # Of Flask-Migrate's commands one is for operators; Flask's own explain themselves.
    ours = {chore for chore in chores if chore.partition(" ")[0] not in {"db", "run", "shell", "routes"}}

    listed = re.findall(r"`([a-z][\w -]*?)(?: [\[A-Z][^`]*)?`", README)
    assert sorted(ours - set(listed)) == []


def test_links_lead_to_files():
    links = re.findall(r"\]\(([^)#:]+)\)", README)

    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_setting_is_documented():
    operations = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    source = "".join((ROOT / path).read_text(encoding="utf-8") for path in ("config.py", "marketplace/serve.py"))
    read = set(re.findall(r"(?:reader\.\w+|environ(?:ment)?\.get)\(\s*['\"]([A-Z_]+)['\"]", source))

    assert len(read) > 15
    assert sorted(name for name in read - {"SANDBOX_PORT", "SANDBOX_STATE"} if f"`{name}`" not in operations) == []
