// What the page does by itself: line numbers beside the texts, summary lines, labels that fit, folding on a small screen.
// Sends nothing and asks for nothing.

(() => {
  const boxes = { questions: "Q", answers: "A" };

  // A copy of the text lies behind the box and wraps as it does; each line of the copy carries its number.
  function numberLines(id) {
    const area = document.querySelector(`#${id} textarea`);
    if (!area) return 0;
    let copy = area.parentElement.querySelector(".line-numbers");
    if (!copy) {
      area.parentElement.classList.add("numbered");
      copy = document.createElement("div");
      copy.className = "line-numbers";
      copy.setAttribute("aria-hidden", "true");
      area.before(copy);
      area.addEventListener("scroll", () => (copy.scrollTop = area.scrollTop));
      area.addEventListener("input", () => setTimeout(numberAll, 0)); // the question to the server goes out first
      new ResizeObserver(() => {
        copy.style.width = area.clientWidth + "px";
        copy.style.height = area.clientHeight + "px";
        copy.scrollTop = area.scrollTop;
      }).observe(area);
    }
    let number = 0;
    const lines = area.value.split("\n").slice(0, 1000);
    lines.forEach((text, at) => {
      const line = copy.children[at] || copy.appendChild(document.createElement("div"));
      const shown = text || "\u200b";
      if (line.textContent !== shown) line.textContent = shown;
      const label = text.trim() ? boxes[id] + ++number : "";
      if ((line.dataset.number || "") === label) return;
      if (label) line.dataset.number = label;
      else delete line.dataset.number;
    });
    while (copy.children.length > lines.length) copy.lastChild.remove();
    area.parentElement.classList.toggle("many", number >= 100);
    if (copy.scrollTop !== area.scrollTop) copy.scrollTop = area.scrollTop;
    return number;
  }

  function numberAll() {
    const counts = Object.keys(boxes).map(numberLines);
    const summary = document.querySelector("#texts .fold-summary");
    const template = summary && summary.dataset.template;
    if (!template) return;
    const said = template.replace("{questions}", counts[0]).replace("{answers}", counts[1]);
    if (summary.textContent !== said) summary.textContent = said;
  }
  lab.numberLines = numberAll;

  // The start of a text that a room of so many pixels holds. Kept: an edit changes one text, and all are drawn again.
  const ruler = document.createElement("canvas").getContext("2d");
  const fitted = new Map();
  lab.fitLabel = (text, room, font) => {
    const key = `${font} ${room} ${text}`;
    if (fitted.size > 1000) fitted.clear();
    if (!fitted.has(key)) fitted.set(key, cutToFit(text.slice(0, 200), room, font));
    return fitted.get(key);
  };

  function cutToFit(text, room, font) {
    ruler.font = font;
    if (ruler.measureText(text).width <= room) return text;
    const letters = Array.from(text);
    let [fits, wide] = [0, letters.length];
    while (wide - fits > 1) {
      const middle = (fits + wide) >> 1;
      if (ruler.measureText(letters.slice(0, middle).join("") + "…").width > room) wide = middle;
      else fits = middle;
    }
    return letters.slice(0, fits).join("").trimEnd() + "…";
  }

  // What an answer says in words, as HTML in which Python has escaped people's texts; {place: HTML}.
  const written = new WeakMap(); // place → its HTML: what stays the same is not written anew
  lab.writePieces = (pieces) => {
    for (const [name, html] of Object.entries(pieces)) {
      const place = document.querySelector(`[data-piece="${name}"]`);
      if (!place || written.get(place) === html) continue;
      written.set(place, html);
      const held = place.contains(document.activeElement) && document.activeElement;
      place.innerHTML = html;
      if (held) keepFocus(place, held);
      const open = place.closest(".fold")?.classList.contains("open");
      place.querySelector(".fold-head")?.setAttribute("aria-expanded", String(Boolean(open)));
      if (wide.matches && place.closest("#reading") && place.querySelector(".alert")) setFold(reading(), true);
    }
    if ("texts_head" in pieces) setTimeout(numberAll, 0);
    if ("texts-tools" in pieces) lab.showTexts();
  };

  // Who stood on a link or button of a piece stands on its new one; where that has gone, in the box that the note is about.
  function keepFocus(place, held) {
    const again = [...place.querySelectorAll(held.tagName)].find((node) => node.className === held.className);
    const box = document.querySelector(`#${place.dataset.piece.replace(/-note$/, "")} :is(input, textarea)`);
    (again || box)?.focus({ preventScroll: true });
  }

  // Dims what is not the answer to what stands in the boxes, once that has been so for a moment: answers are mostly quicker.
  const DIM_MS = 150; // and 100 of transition: under 300
  const dimming = new WeakMap(); // node → its timer
  lab.dim = (node, behind, since) => {
    if (!node) return; // not built yet
    clearTimeout(dimming.get(node));
    if (!behind) return void delete node.dataset.behind;
    const dim = () => (node.dataset.behind = "");
    const rest = since + DIM_MS - performance.now();
    if (rest > 0) dimming.set(node, setTimeout(dim, rest));
    else dim();
  };

  // How far an answer is: in words, and as a bar, which moves by itself where nobody knows. progress: 0…1 or null.
  lab.showProgress = (bar, line, { note, progress, left }, running) => {
    bar.hidden = !running;
    const percent = running && typeof progress === "number" ? Math.round(progress * 100) : null;
    const more = running && left ? ` · ${left}` : "";
    line.textContent = (note || "") + (percent === null ? "" : ` ${percent} %`) + more;
    bar.classList.toggle("bar-unknown", percent === null);
    bar.firstElementChild.style.width = percent === null ? "" : percent + "%";
    if (percent === null) bar.removeAttribute("aria-valuenow");
    else bar.setAttribute("aria-valuenow", percent);
  };

  // The bar is written anew with every answer: what computes it stays open until somebody presses elsewhere.
  let asksWhat = false;
  const about = () => document.querySelector("#status details");
  const showAbout = (open) => about() && (about().open = open);
  document.addEventListener("toggle", ({ target }) => target === about() && (asksWhat = target.open), true);
  document.addEventListener("pointerdown", ({ target }) => target.closest("#status details") || showAbout(false));
  document.addEventListener("lab:open", () => {
    const keep = () => about()?.open !== asksWhat && showAbout(asksWhat);
    new MutationObserver(keep).observe(document.querySelector("#status"), { childList: true, subtree: true });
    numberAll();
  });

  // ---- folds: texts and reading on a small screen, the reading's choices ("Advanced") on a wide one, where it is kept -------

  const wide = window.matchMedia("(min-width: 861px)");
  const reading = () => document.querySelector("#reading");
  function setFold(section, open) {
    section.classList.toggle("open", open);
    section.querySelector(".fold-head")?.setAttribute("aria-expanded", String(open));
    if (open) numberAll();
  }
  document.addEventListener("click", ({ target }) => {
    const section = target.closest(".fold-head")?.closest(".fold");
    if (!section) return;
    setFold(section, !section.classList.contains("open"));
    if (wide.matches && section === reading()) localStorage.setItem("lab.advanced", section.classList.contains("open"));
  });
  const linked = location.hash.length > 1;
  document.addEventListener("lab:open", () => wide.matches && localStorage.getItem("lab.advanced") === "true" && setFold(reading(), true));
  // A reading that has no name shows what it is made of; so does a host that has no recipes.
  const unnamed = () => !document.querySelector(linked ? '.recipe[aria-pressed="true"]' : ".recipe");
  document.addEventListener("lab:answered", () => wide.matches && unnamed() && setFold(reading(), true), { once: true });

  // A file that was just made for this page is fetched at once.
  lab.fetchFile = (file) => {
    if (file) Object.assign(document.createElement("a"), { href: file.url, download: file.orig_name || "" }).click();
  };

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    showAbout(false);
    const sheet = !wide.matches && document.querySelector("#reading.open");
    if (sheet && !event.target.closest("[role=listbox], input")) sheet.querySelector(".fold-head").click();
  });
})();
