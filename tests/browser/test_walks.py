"""Random walks: whatever somebody does, and however slow the answers are, what they typed is never lost, and a picture
of other texts is never shown as theirs.

Seeded. `WALKS=200 pytest tests/browser/test_walks.py` walks on; a failure names its seed and its last steps.
"""

from __future__ import annotations

import os
import random

import pytest

from tests.browser.page_actions import HEATMAP, STATE

pytestmark = pytest.mark.browser
WALKS, STEPS = int(os.environ.get("WALKS", "5")), 25
VIEWS = ("heatmap", "story", "sweep", "compare", "space")
BOXES = ("questions", "answers")
GRACE_MS = 900  # 300, and what timers and frames are late by where other tests run
# Looks at every frame. What is drawn (lab.shown) and what stands in the boxes may differ for GRACE_MS, then it is dim.
WATCH = """(grace) => {
    const wrong = (window.wrong = []);
    const lines = (text) => text.split("\\n").map((line) => line.trim()).filter(Boolean).join("\\n");
    const said = (nodes) => [...nodes].map((node) => node.lastChild.textContent.trim()).join("\\n");
    const bright = (node) => Number(getComputedStyle(node).opacity) > 0.6;
    let [since, frames] = [0, 0]; // one late frame says nothing: the page may have been busy
    const look = () => {
        requestAnimationFrame(look);
        const stage = document.querySelector("#heatmap .hm-stage");
        const boxes = ["questions", "answers"].map((id) => document.querySelector(`#${id} textarea`)?.value);
        if (!stage || !lab.shown || boxes.includes(undefined)) return;
        const drawn = [lab.shown.questions, lab.shown.answers].map((texts) => texts.join("\\n"));
        const sentences = document.querySelectorAll("#verdict p"); // their ground stays opaque
        const agree = boxes.every((text, i) => lines(text) === lines(drawn[i]));
        since = agree || ![stage, ...sentences].some(bright) ? 0 : since || performance.now();
        frames = since ? frames + 1 : 0;
        const seen = { boxes, drawn, form: lab.form(), answered: lab.answered };
        if (frames > 5 && performance.now() - since > grace) wrong.push("undimmed: " + JSON.stringify(seen));
        if (!document.body.classList.contains("presenting")) return;
        const title = document.querySelector(".present-title").textContent;
        const set = lab.preparedSets().find((set) => set.title === title);
        const texts = [...document.querySelectorAll(".present-texts ol")].map((list) => said(list.children));
        const own = [lab.form().questions, lab.form().answers];
        const right = set ? [set.questions, set.answers] : own;
        if (!right.every((text, i) => lines(text) === texts[i])) wrong.push(`${title} over ${texts}`);
    };
    look();
}"""
LOOK = """() => ({
    boxes: ["questions", "answers"].map((id) => document.querySelector(`#${id} textarea`).value),
    kept: sessionStorage.getItem("lab.texts") || "",
    wrong: window.wrong,
})"""

# After a visit or a reload: the boxes hold what the page knows of them.
SETTLED = """() => ["questions", "answers"].every(
    (id) => document.querySelector(`#${id} textarea`)?.value === lab.form()?.[id]
)"""
# Back or forward, until the page has taken it.
TRAVEL = "(way) => new Promise((go) => (addEventListener('popstate', go, { once: true }), history[way]()))"


class Walker:
    """Somebody at the page. `typed`: each box as they left it; `trail`: what they did."""

    def __init__(self, page, engine, seed: int):
        self.page, self.engine, self.random = page, engine, random.Random(seed)
        self.trail: list[str] = [f"seed {seed}"]
        self.typed: list[str] = []
        self.watch()

    def watch(self) -> None:
        self.page.wait_for_selector("#texts-tools .texts-tools", state="attached")
        self.page.wait_for_function(SETTLED)
        self.page.evaluate(WATCH, GRACE_MS)

    def walk(self, steps: int) -> None:
        for _ in range(steps):
            self.engine.seconds_per_text = self.random.choice((0, 0, 0.02, 0.1, 0.5))
            act = self.random.choice(
                [self.type, self.type, self.visit, self.tab_through, self.open_and_leave, self.pick, self.undo]
                + [self.switch, self.back, self.forward, self.present, self.reload]
            )
            before = self.look()["boxes"]
            self.trail.append(act.__name__)
            may_replace = act()
            self.check(before, may_replace)
        self.engine.seconds_per_text = 0
        self.page.wait_for_selector(STATE.format("ready"), state="attached")
        self.page.wait_for_function("() => lab.atRest() && !('behind' in document.querySelector('#hero').dataset)")
        self.check(self.look()["boxes"], False)

    def look(self) -> dict:
        return self.page.evaluate(LOOK)

    def check(self, before: list[str], may_replace: bool) -> None:
        now = self.look()
        where = " → ".join(self.trail[-12:])
        assert not now["wrong"], f"{now['wrong'][0]}: {where}"
        if not may_replace:
            assert now["boxes"] == before, where
        for word in self.typed:
            assert word in "".join(now["boxes"]) or word in now["kept"], f"{word} is lost: {where}"

    def go_to_texts(self) -> None:
        """From a tab that has texts of its own, to one that stands beside the boxes."""
        if not self.page.locator("#texts").is_visible():
            self.page.click(HEATMAP)
            self.page.wait_for_selector("#texts")

    def type(self) -> bool:
        self.go_to_texts()
        word, box = f"w{len(self.typed)}x{self.random.randrange(1000)}", self.random.choice(BOXES)
        self.page.evaluate("(box) => document.querySelector(`#${box} textarea`).focus()", box)
        self.page.keyboard.press("Control+End")
        self.page.keyboard.type(f" {word}", delay=self.random.choice((0, 20)))
        self.typed.append(word)
        return True

    def visit(self) -> bool:
        self.page.click(f"#view-{self.random.choice(VIEWS)}-button")
        return False

    def tab_through(self) -> bool:
        self.go_to_texts()
        self.page.evaluate("() => document.querySelector('#examples input').focus()")
        if self.random.random() < 0.5:
            self.page.keyboard.press("ArrowDown")
        self.page.keyboard.press(self.random.choice(("Escape", "Tab", "Shift+Tab")))
        self.page.keyboard.press("Tab")
        return False

    def open_and_leave(self) -> bool:
        self.go_to_texts()
        self.page.click("#examples input")
        self.page.mouse.click(1260, 880)
        return False

    def pick(self) -> bool:
        self.page.evaluate("() => document.activeElement.blur()")
        self.go_to_texts()
        self.page.click("#examples input")
        options = self.page.locator("#examples ~ * [role=option], [role=option]")
        options.nth(self.random.randrange(options.count())).click()
        return True

    def undo(self) -> bool:
        self.page.evaluate("() => document.activeElement.blur()")
        self.page.keyboard.press(self.random.choice(("Control+z", "Control+Shift+z")))
        return True

    def switch(self) -> bool:
        pooling = self.random.choice(("mean", "max", "last_token"))
        self.page.evaluate("(pooling) => lab.bring({ pooling: { value: pooling } })", pooling)
        return False

    def back(self) -> bool:
        """Unless that left the page."""
        if self.page.evaluate("() => navigation.currentEntry.index > 0"):
            self.page.evaluate(TRAVEL, "back")
        return True

    def forward(self) -> bool:
        if self.page.evaluate("() => navigation.canGoForward"):
            self.page.evaluate(TRAVEL, "forward")
        return True

    def present(self) -> bool:
        self.page.keyboard.press("Alt+p")
        for _ in range(self.random.randrange(3)):
            self.page.keyboard.press(self.random.choice(("PageDown", "PageUp")))
        self.page.keyboard.press("Escape")  # where a set stood, the last one shown stays
        return True

    def reload(self) -> bool:
        self.page.reload()
        self.watch()
        return False


@pytest.mark.parametrize("seed", range(WALKS))
def test_nothing_typed_is_lost_and_no_picture_is_of_other_texts(open_page, engine, seed):
    Walker(open_page(), engine, seed).walk(STEPS)
