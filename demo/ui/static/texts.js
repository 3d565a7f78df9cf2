// Texts that stand in the boxes: which set they are, what was there before (undo), and the sets that somebody keeps under
// a name. All of it stays in this browser: in the tab's own storage over reloads, in the browser's for the next visit.

(() => {
  const TEXTS = ["questions", "answers", "matches"];
  const BOXES = [...TEXTS, "task", "template"];
  const OWN = "own"; // in the list of sets: texts that are none of them
  const MOST_STEPS = 40, MOST_KEPT = 50, LONGEST_NAME = 60;
  let steps = []; // what was replaced, the newest last: {id, fields}
  let undone = []; // what an undo replaced, to be brought back
  let before = null; // the boxes when the page was left
  let prepared = null; // the sets of the lab; null before the first answer
  let kept = []; // {name, questions, answers, matches}
  let inputs = 0; // how often somebody has typed
  let typedIn = new WeakSet(); // the boxes in which somebody has typed since a text was replaced

  const pick = (fields, names) => Object.fromEntries(names.map((name) => [name, fields[name] ?? ""]));
  const same = (one, other) => TEXTS.every((name) => (one[name] ?? "").trim() === (other[name] ?? "").trim());
  const sets = () => [...(prepared || []), ...kept.map((set) => ({ ...set, id: `kept:${set.name}`, title: set.name }))];
  const setOf = (fields) => sets().find((set) => same(set, fields));
  const word = (name, values = {}) =>
    (lab.last?.words?.[`texts_${name}`] || "").replace(/\{(\w+)\}/g, (_, key) => values[key]);
  lab.standingSet = () => setOf(lab.form())?.id ?? OWN;
  lab.preparedSets = () => prepared || [];

  // ---- storage: bounded, and a page without it works as well -----------------------------------------------------------

  function load(storage, name) {
    try {
      return JSON.parse(window[storage].getItem(name));
    } catch {
      return null;
    }
  }
  function store(storage, name, value) {
    try {
      window[storage].setItem(name, JSON.stringify(value));
      return true;
    } catch {
      return false;
    }
  }
  // What does not fit is the oldest.
  function remember() {
    const value = { steps: steps.slice(-MOST_STEPS), undone: undone.slice(-MOST_STEPS), hash: lab.address() };
    if (lab.form()) value.before = pick(lab.form(), BOXES);
    for (const storage of ["sessionStorage", "localStorage"]) {
      while (!store(storage, "lab.texts", value) && value.steps.length + value.undone.length) {
        value.undone.splice(0, 1 + (value.undone.length >> 1));
        value.steps.splice(0, 1 + (value.steps.length >> 1));
      }
    }
  }
  window.addEventListener("pagehide", remember);
  document.addEventListener("visibilitychange", () => document.hidden && lab.form() && remember());

  // The page opens. A reload brings back what the address had no time or no room for: the names of these boxes, which no
  // link fills then.
  lab.openTexts = () => {
    const own = load("sessionStorage", "lab.texts");
    const last = own || load("localStorage", "lab.texts") || {};
    ({ steps = [], undone = [], before = null } = last);
    kept = load("localStorage", "lab.sets") || [];
    lab.markStep(current(), false);
    // The address may have changed after a reload was asked for, and before it came.
    const again = performance.getEntriesByType("navigation")[0]?.type === "reload" && own?.hash !== null;
    if (!before || !own || !(again || own.hash === lab.address())) return [];
    lab.bring(Object.fromEntries(BOXES.map((name) => [name, { value: before[name] }])));
    before = null;
    return BOXES;
  };

  // The first answer brings the lab's sets, and the texts of a link have come with it or before it.
  lab.takeSets = (taken) => {
    prepared = taken;
    if (before && before.questions + before.answers && !same(before, lab.form()) && !setOf(before)) push(pick(before, TEXTS));
    before = null;
    show();
  };

  // ---- what is replaced can be brought back ----------------------------------------------------------------------------

  const current = () => steps.at(-1)?.id ?? 0;
  const push = (fields) => steps.push({ id: Math.max(Date.now(), current() + 1, (undone[0]?.id ?? 0) + 1), fields });
  const valuesOf = (names) => pick(lab.form(), names);

  // Texts, and perhaps a reading, that nobody typed. stepping: one of many, of which only own texts are remembered.
  lab.replace = (updates, linked, stepping = false) => {
    const names = Object.keys(updates).filter((name) => name in lab.form());
    const was = valuesOf(names);
    if (names.every((name) => updates[name].value === was[name])) return lab.bring(updates, linked);
    if (!stepping || !setOf(was)) {
      steps.push(...undone.reverse().filter(({ fields }) => !setOf(fields)));
      undone = [];
      push(was);
      if (steps.length > MOST_STEPS) steps.shift();
      lab.markStep(current(), true);
    }
    bring(updates, linked);
  };
  function bring(updates, linked) {
    typedIn = new WeakSet();
    lab.bring(updates, linked);
    remember();
    show();
  }

  const changes = ({ fields }) => Object.entries(fields).some(([name, value]) => lab.form()[name] !== value);

  // A step back, or forth again: what stands now changes places with what stood before.
  function move(from, to) {
    let step = from.pop();
    while (step && !changes(step)) step = from.pop();
    if (step) {
      const { fields, id } = step;
      to.push({ id, fields: valuesOf(Object.keys(fields)) });
      // Another model brings its own reading first; what else was read comes with it.
      const other = fields.model !== undefined && fields.model !== lab.form().model;
      const names = Object.keys(fields).filter((name) => !other || BOXES.includes(name) || name === "model");
      bring(Object.fromEntries(names.map((name) => [name, { value: fields[name] }])), other ? fields : undefined);
    }
    show();
    return Boolean(step);
  }
  const undo = () => move(steps, undone);
  const redo = () => move(undone, steps);

  // The browser's Back and Forward: to the step that was the newest then.
  lab.goToStep = (id) => {
    while (current() > id && undo());
    while (undone.length && undone.at(-1).id <= id && redo());
  };

  // A box that somebody types in has an undo of its own; where that has nothing left, or in any other place, it is ours.
  document.addEventListener("input", ({ target, isTrusted }) => {
    if (!isTrusted) return;
    inputs++;
    typedIn.add(target);
  }, true);
  document.addEventListener("keydown", (event) => {
    const key = event.key.toLowerCase();
    if (!(event.ctrlKey || event.metaKey) || event.altKey || (key !== "z" && key !== "y") || !lab.form()) return;
    const act = () => {
      if (key === "y" || event.shiftKey ? redo() : undo()) lab.markStep(current(), false);
    };
    const box = event.target.closest?.("textarea, input:not([type=range], [type=checkbox], [type=radio], [readonly], [role=listbox])");
    if (box && !box.closest("#texts, #reading")) return;
    if (!box || !typedIn.has(box)) {
      event.preventDefault();
      return act();
    }
    const count = inputs;
    setTimeout(() => count === inputs && act(), 0);
  });

  // ---- the list of sets, and the buttons under it ----------------------------------------------------------------------

  // Gradio says `input` whenever the list loses the focus: a set is picked only where it is another than the list showed.
  lab.pickSet = (id) => {
    if (id === lab.listedSet) return;
    lab.listedSet = id;
    const set = sets().find((each) => each.id === id);
    if (set) replaceBy(set);
    else show();
  };
  const replaceBy = (set, stepping) =>
    lab.replace(Object.fromEntries(TEXTS.map((name) => [name, { value: set[name] }])), undefined, stepping);
  lab.stepToSet = (set) => replaceBy(set, true);

  let listed = ""; // what Gradio was told of the list
  let noted = null;
  lab.showTexts = () => {
    noted = null; // the places of words have only just been built
    show();
  };
  function show() {
    if (!prepared || !lab.form()) return;
    const id = lab.standingSet();
    const own = id === OWN ? [[word("own"), OWN]] : [];
    const choices = [...own, ...sets().map((set) => [set.title, set.id])];
    const said = JSON.stringify([choices, id]);
    if (said !== listed) lab.tellGradio({ examples: { choices, value: id } });
    listed = said;
    if (noted !== id) lab.writePieces({ "examples-note": setOf(lab.form())?.note ?? `<p class="hint">${word(id === OWN ? "own_note" : "kept_note")}</p>` });
    noted = id;
    const there = { undo: steps.some(changes), redo: undone.some(changes), keep: id === OWN && lab.form().questions + lab.form().answers };
    there.rename = there.delete = id.startsWith("kept:");
    document.querySelectorAll("#texts-tools [data-act]").forEach((button) => {
      if (button.dataset.act in there) button.hidden = !there[button.dataset.act];
    });
  }
  document.addEventListener("lab:form", show);

  const tools = () => document.querySelector("#texts-tools .texts-tools");
  function say(text) {
    tools().querySelector("[role=status]").textContent = text;
  }
  lab.sayOfTexts = say;
  function openForm(act, name) {
    const form = tools().querySelector("form");
    form.hidden = !act;
    form.dataset.for = act || "";
    if (!act) return;
    const box = form.querySelector("input");
    box.value = name;
    box.focus();
    box.select();
  }

  // A name that another set has gets a number: nothing is written over.
  function free(name, taken) {
    for (let number = 2, wish = name; ; wish = `${name} (${number++})`) if (!taken.includes(wish)) return wish;
  }
  function keepSets(sets, said) {
    if (!store("localStorage", "lab.sets", sets)) return say(word("full"));
    kept = sets;
    say(said);
    show();
  }
  function named(event) {
    const form = event.target.closest("#texts-tools form");
    if (!form) return;
    event.preventDefault();
    const wish = form.querySelector("input").value.trim().slice(0, LONGEST_NAME);
    if (!wish) return;
    const standing = lab.standingSet();
    const others = kept.filter((set) => form.dataset.for === "keep" || `kept:${set.name}` !== standing);
    const name = free(wish, others.map((set) => set.name));
    if (others.length >= MOST_KEPT) return say(word("full"));
    openForm(null);
    keepSets([...others, { name, ...valuesOf(TEXTS) }], word("kept", { name }));
  }
  const acts = {
    undo: () => undo() && lab.markStep(current(), false),
    redo: () => redo() && lab.markStep(current(), false),
    keep: () => openForm("keep", (lab.form().questions.split("\n").find((line) => line.trim()) || "").slice(0, LONGEST_NAME)),
    rename: () => openForm("rename", lab.standingSet().slice("kept:".length)),
    delete: () => keepSets(kept.filter((set) => `kept:${set.name}` !== lab.standingSet()), word("deleted")),
    cancel: () => openForm(null),
  };
  document.addEventListener("submit", named, true);
  document.addEventListener("click", ({ target }) => {
    const button = target.closest("#texts-tools [data-act]");
    if (!button) return;
    say("");
    acts[button.dataset.act]();
  });
})();
