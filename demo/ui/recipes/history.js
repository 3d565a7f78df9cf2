// A history: the readings that were tried on the texts that stand here, with their figures. Other texts begin another one,
// and texts that come back bring theirs. It stays in this tab's own storage, and goes into a link that is shared.

(() => {
  const TEXTS = ["questions", "answers", "matches"];
  const READING = ["model", "prompt", "eos", "pooling", "layer", "postprocess", "reference"];
  const OF_PROMPT = { task: "e5_instruct", template: "custom" }; // boxes that count with one prompt alone
  const MOST = 30, MOST_TEXTS = 20, MOST_LINKED = 12, MOST_PINNED = 4, LONGEST = 300;
  const ONE_MOVE_MS = 2000; // in which a slider passes through values, and a template is typed
  let kept = load(); // texts' key → what was tried on them, the first one first: {form, name, recipe, auc, margin, pinned}
  let current = { key: null, list: [] }; // a single reading is no history yet: who types leaves none behind
  let moved = { at: 0, where: "" };
  let linked = null;

  // Of texts no more than a number is kept (cyrb53).
  function keyOf(form) {
    let [a, b] = [0xdeadbeef, 0x41c6ce57];
    for (const letter of JSON.stringify(TEXTS.map((name) => form[name].trim()))) {
      a = Math.imul(a ^ letter.codePointAt(0), 2654435761);
      b = Math.imul(b ^ letter.codePointAt(0), 1597334677);
    }
    return `${a >>> 0}.${b >>> 0}`;
  }
  function load() {
    try {
      return new Map(JSON.parse(sessionStorage.getItem("lab.history")) || []);
    } catch {
      return new Map();
    }
  }
  function store() {
    try {
      sessionStorage.setItem("lab.history", JSON.stringify([...kept]));
    } catch {
      // a browser that keeps nothing, or no more
    }
  }

  const readingOf = (form) => {
    const names = [...READING, ...Object.keys(OF_PROMPT).filter((name) => form.prompt === OF_PROMPT[name])];
    return Object.fromEntries(names.map((name) => [name, form[name]]));
  };
  const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);
  const listOf = (key) => (key === current.key ? current.list : kept.get(key) || []);

  // What moves with a slider or a key is one try, as long as it moves.
  function movesOn(list, form) {
    const last = list.at(-1);
    const others = (reading) => JSON.stringify({ ...reading, layer: 0, task: "", template: "" });
    const now = { at: performance.now(), where: others(form) };
    const on = last && moved.where === now.where && now.at - moved.at < ONE_MOVE_MS && others(last.form) === now.where;
    moved = now;
    return on && !last.pinned;
  }

  document.addEventListener("lab:answered", () => {
    const tried = lab.last?.tried;
    if (!tried || !lab.answered) return show();
    const [key, form] = [keyOf(lab.answered), readingOf(lab.answered)];
    if (key !== current.key) current = { key, list: [...(kept.get(key) || [])] };
    if (linked) current.list.push(...linked.filter((each) => !same(each.form, form)));
    linked = null;
    const at = current.list.findIndex((each) => same(each.form, form));
    const news = { ...tried, form };
    if (at >= 0) current.list[at] = { ...current.list[at], ...news };
    else if (movesOn(current.list, form)) current.list.splice(-1, 1, news);
    else current.list.push(news);
    if (current.list.length > MOST) current.list.splice(current.list.findIndex((each) => !each.pinned), 1);
    keep();
    show();
  });
  function keep() {
    if (current.list.length < 2) return;
    kept.delete(current.key);
    kept.set(current.key, current.list);
    if (kept.size > MOST_TEXTS) kept.delete(kept.keys().next().value);
    store();
  }

  // ---- what is seen of it ----------------------------------------------------------------------------------------------

  const make = (tag, text, properties = {}) => Object.assign(document.createElement(tag), { textContent: text }, properties);
  const wordsOf = ({ form, name, recipe }) => {
    const layer = document.querySelector(".tried").dataset.layer.replace("{layer}", form.layer);
    const how = [form.prompt + (form.eos ? " + EOS" : ""), form.pooling, layer];
    if (form.postprocess !== "none") how.push(form.postprocess);
    return [recipe, [name, ...how].join(" · ")].filter(Boolean).join(": ");
  };

  let shown = "";
  function show() {
    const box = document.querySelector(".tried");
    if (!box || !lab.form()) return;
    const list = listOf(keyOf(lab.form()));
    const now = readingOf(lab.form());
    const said = JSON.stringify([list, now]);
    if (said === shown && box.dataset.shown) return;
    shown = said;
    box.dataset.shown = "yes";
    box.hidden = list.length < 2;
    box.querySelector("summary").textContent = box.dataset.head.replace("{count}", list.length);
    const pinned = list.filter((each) => each.pinned).length;
    const held = box.querySelector("tbody").contains(document.activeElement) && document.activeElement.dataset.at;
    const rows = list.map((each, at) => {
      const row = make("tr", "");
      const use = make("button", wordsOf(each), { type: "button", className: "tried-use", title: box.dataset.use });
      use.setAttribute("aria-pressed", String(same(each.form, now)));
      const pin = make("input", "", { type: "checkbox", checked: Boolean(each.pinned) });
      pin.disabled = !each.pinned && pinned >= MOST_PINNED;
      pin.setAttribute("aria-label", `${box.dataset.pin}: ${wordsOf(each)}`);
      [use.dataset.at, pin.dataset.at] = [`use ${at}`, `pin ${at}`];
      for (const content of [use, each.auc, each.margin, pin]) {
        const cell = make("td", "");
        cell.append(content);
        row.append(cell);
      }
      return row;
    });
    box.querySelector("tbody").replaceChildren(...rows.reverse());
    if (held) box.querySelector(`[data-at="${held}"]`)?.focus();
    box.querySelector(".tried-compare").disabled = pinned < 2;
  }
  document.addEventListener("lab:form", show);

  const entryAt = (node) => listOf(keyOf(lab.form()))[Number(node.dataset.at.split(" ")[1])];
  document.addEventListener("click", ({ target }) => {
    if (target.closest(".tried-use")) lab.bringReading(entryAt(target.closest(".tried-use")).form);
    if (!target.closest(".tried-compare")) return;
    const pinned = listOf(keyOf(lab.form())).filter((each) => each.pinned);
    lab.compareThese(pinned.map((each) => each.form));
  });
  document.addEventListener("change", ({ target }) => {
    if (!target.matches(".tried input")) return;
    entryAt(target).pinned = target.checked;
    store();
    show();
  });

  // ---- in a link ---------------------------------------------------------------------------------------------------------

  const FIELDS = [...READING, ...Object.keys(OF_PROMPT)];
  lab.dumpTried = () => {
    const list = listOf(keyOf(lab.form()));
    if (list.length < 2) return "";
    const short = ({ form, name, auc, margin }) => [name, auc, margin, ...FIELDS.map((field) => form[field] ?? null)];
    return JSON.stringify(list.slice(-MOST_LINKED).map(short));
  };
  // What cannot be used is left aside without a word; a reading is checked by the server when it is chosen.
  lab.loadTried = (text) => {
    try {
      const fits = (value) => ["boolean", "number"].includes(typeof value) || (typeof value === "string" && value.length <= LONGEST);
      linked = JSON.parse(text)
        .slice(0, MOST_LINKED)
        .filter((each) => each.length === 3 + FIELDS.length && each.every((value) => value === null || fits(value)))
        .map(([name, auc, margin, ...values]) => {
          const form = Object.fromEntries(FIELDS.map((field, at) => [field, values[at]]));
          return { form: readingOf(form), name: String(name), recipe: "", auc: String(auc), margin: String(margin) };
        });
    } catch {
      linked = null;
    }
  };
})();
