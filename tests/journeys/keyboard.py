"""Somebody who has a keyboard and nothing else: every stop must be seen, and none may hold them."""

from __future__ import annotations

MOST_STOPS = 160
# What has the focus: its name, whether it can be seen where it stands, and whether a ring marks it.
FOCUSED = """() => {
  const element = document.activeElement;
  if (!element || element === document.body) return null;
  const box = element.getBoundingClientRect(), style = getComputedStyle(element);
  const x = Math.min(Math.max(box.left + box.width / 2, 1), innerWidth - 1);
  const y = Math.min(Math.max(box.top + box.height / 2, 1), innerHeight - 1);
  const above = document.elementFromPoint(x, y);
  const label = element.labels && element.labels[0];
  const name = element.getAttribute("aria-label") || (label && label.textContent) || element.textContent || "";
  return {
    name: name.trim().replace(/\\s+/g, " "),
    tag: element.tagName.toLowerCase(),
    id: element.id,
    isSeen: box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight,
    isCovered: !!above && !element.contains(above) && !above.contains(element) && !above.closest("label"),
    hasRing: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
  };
}"""


class Keyboard:
    """Presses keys on a visitor's page and looks at where the focus goes."""

    def __init__(self, visitor):
        self.visitor, self.page = visitor, visitor.page

    def focused(self):
        """What has the focus now."""
        return self.page.evaluate(FOCUSED)

    def press(self, key):
        """One key, then the page at rest."""
        self.page.keyboard.press(key)
        self.page.wait_for_load_state()

    def go(self):
        """Enter on something that leads to another page."""
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")

    def stop(self):
        """Go to the next stop; it must be visible, uncovered and marked."""
        self.page.keyboard.press("Tab")
        found = self.focused()
        if found is not None:
            where = f"{self.page.url}: {found}"
            assert found["isSeen"], f"the focus is out of sight on {where}"
            assert not found["isCovered"], f"something lies over the focus on {where}"
            assert found["hasRing"], f"nothing shows the focus on {where}"
        return found

    def tab_to(self, name, *, tag=None):
        """Go on from stop to stop until the one of this name (English, said in the visitor's language)."""
        wanted = self.visitor.say(name)
        seen = []
        for _ in range(MOST_STOPS):
            found = self.stop()
            seen.append(found and found["name"][:40])
            if found and wanted in found["name"] and tag in {None, found["tag"]}:
                return found
            assert len(seen) < 4 or len(set(seen[-4:])) > 1, f"the focus is held at {seen[-1]!r} on {self.page.url}"
        raise AssertionError(f"no way to {wanted!r} on {self.page.url}; stops were {seen}")

    def enter(self, name, *, tag=None):
        """Go to a link or button and press Enter; look at what comes."""
        self.tab_to(name, tag=tag)
        self.go()
        self.visitor.look()

    def type_into(self, name, words):
        """Go to a field and type."""
        self.tab_to(name)
        self.page.keyboard.type(words)
