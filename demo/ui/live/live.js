// Live requests: the only sender of POST /live. Keeps the form (what stands in the lab's widgets), sends its newest
// version, one request at a time, and hands each answer to the heatmap, the texts around it and Gradio's widgets.

(() => {
  const BOXES = ["questions", "answers", "matches", "task", "template"]; // read at every key, before Gradio sees it
  const LONGEST_PAUSE = 10_000; // milliseconds between tries while the server cannot be reached
  const url = new URL("live" + location.search, document.baseURI);
  let form = null; // by field name; null until Gradio has built the page
  let memory = {}; // what the server wants to have back with the next request: the model in use, a link's reading
  let live = true; // whether edits are sent by themselves
  let link = location.hash.slice(1); // sent until the first answer
  let sent = null; // the form of the request under way
  let underWay = false;
  let wanted = false; // something has changed since the last request was sent
  let timer = 0;
  let offers = {}; // field → a value that would be accepted
  let updates = {}; // widget → properties that Gradio is still to be told
  const told = new Map(); // "widget property" → what Gradio was told last, as JSON
  let left = 0; // when what stands ceased to be what was sent last; 0 while it is the same
  let behind = 0; // the same of what is drawn
  let restored = []; // boxes whose texts are newer than those of the link
  let brought = null; // a reading that came while a request was under way: of the next one
  let cancel = null; // a model that is not wanted any more: of the next request

  // Gradio has built the page: `values` are those of its widgets.
  lab.open = (names, values, isLive) => {
    form = Object.fromEntries(names.map((name, at) => [name, values[at]]));
    live = isLive;
    lab.openLink(form);
    restored = lab.openTexts();
    document.dispatchEvent(new CustomEvent("lab:open"));
    lab.ask();
  };
  lab.form = () => form;
  const boxOf = (name) => BOXES.includes(name) && document.querySelector(`#${name} :is(input, textarea)`);

  // Another value of a widget, by a person or by Gradio. delay: milliseconds in which more of them may come.
  lab.choose = (name, value, delay = 0) => {
    if (delay !== null && boxOf(name)) value = boxOf(name).value; // Gradio's event may come after the next key
    if (!form || form[name] === value) return;
    setForm({ [name]: { value } });
    if (!live) return;
    if (delay === null) return lab.ask();
    clearTimeout(timer);
    timer = setTimeout(lab.ask, delay);
  };

  document.addEventListener(
    "input",
    ({ target }) => {
      const name = BOXES.find((id) => target.matches(`#${id} :is(input, textarea)`));
      if (name) lab.choose(name, target.value, null);
    },
    true
  );

  // ---- requests -------------------------------------------------------------------------------------------------

  lab.ask = async () => {
    clearTimeout(timer);
    wanted = true;
    if (underWay || !form) return;
    underWay = true;
    while (wanted) take(await request());
    underWay = false;
  };

  async function request() {
    for (let pause = 500; ; pause = Math.min(LONGEST_PAUSE, 2 * pause)) {
      try {
        const response = await lab.retry(send);
        const answer = await response.json();
        if (response.ok) return answer;
        return { state: lab.answered ? "stale" : "error", note: answer.error, refused: true };
      } catch {
        await new Promise((go) => setTimeout(go, pause));
      }
    }
  }

  function send(fetch) {
    wanted = false;
    left = 0;
    brought = null;
    sent = { ...form };
    const more = { ...(link === null ? {} : { link }), ...(cancel ? { cancel } : {}) };
    const body = JSON.stringify({ form: sent, ...memory, drawn: Boolean(lab.answered), ...more });
    cancel = null;
    const headers = { "Content-Type": "application/json", "X-Page-Id": lab.page };
    return fetch(url, { method: "POST", headers, body });
  }

  function take(answer) {
    if (!answer.refused) {
      if (link !== null) wanted ||= restored.length > 0; // it was of the link's texts
      link = null;
      memory = brought ? { ...answer.memory, linked: brought } : answer.memory;
      offers = answer.offers;
      lab.last = { ...lab.last, ...answer, pieces: { ...lab.last?.pieces, ...answer.pieces } }; // until they are drawn
    }
    const updates = newest(answer.updates || {});
    if (!answer.refused) restored = [];
    if (answer.figure) {
      lab.answered = { ...sent, ...valuesOf(answer.updates) };
      behind = left;
    }
    setForm(updates);
    offerCancel(answer);
    lab.draw?.(answer);
    tellGradio(updates);
    if (answer.sets) lab.takeSets(answer.sets);
    if (answer.again) timer = setTimeout(lab.ask, 1000 * answer.again);
  }

  // ---- what an answer means for the widgets ---------------------------------------------------------------------

  const valuesOf = (news) =>
    Object.fromEntries(Object.entries(news).flatMap(([name, { value }]) => (name in form && value !== undefined ? [[name, value]] : [])));
  function setForm(news) {
    const before = { ...form };
    Object.assign(form, valuesOf(news));
    if (differs(form, before)) left ||= performance.now();
    lab.keepLink(form);
    if (lab.answered) {
      const old = differs(form, lab.answered);
      behind = old ? behind || performance.now() : 0;
      lab.dim(document.querySelector("#hero"), old, behind);
    }
    document.dispatchEvent(new CustomEvent("lab:form"));
  }
  const differs = (one, other) => Object.keys(one).some((name) => one[name] !== other[name]);

  // An answer's values, but for those of what was typed or chosen since it was asked for.
  function newest(news) {
    const stale = ([name, { value }]) => value !== undefined && name in form && (form[name] !== sent[name] || restored.includes(name));
    return Object.fromEntries(
      Object.entries(news).map((each) => (stale(each) ? [each[0], { ...each[1], value: undefined }] : each))
    );
  }

  // Properties that Gradio has already are left out; a value is always news.
  function tellGradio(news) {
    for (const [name, properties] of Object.entries(news)) {
      for (const [property, value] of Object.entries(properties)) {
        const [key, said] = [`${name} ${property}`, JSON.stringify(value)];
        if (value === undefined || (property !== "value" && told.get(key) === said)) continue;
        told.set(key, said);
        // A text goes into its box at once, as if typed: Gradio would write it there later, over the keys of meanwhile.
        const box = property === "value" && boxOf(name);
        if (box) {
          if (box.value !== value) {
            box.value = value;
            box.dispatchEvent(new Event("input", { bubbles: true }));
          }
          continue;
        }
        updates[name] = { ...updates[name], [property]: value };
      }
    }
    lab.passUpdates();
  }
  lab.tellGradio = tellGradio;
  lab.passUpdates = () => Object.keys(updates).length && lab.triggerUpdate?.();

  // The listener of the heatmap's `update` event: Gradio's updates of these widgets.
  lab.takeUpdates = (names) => {
    for (const [name, properties] of Object.entries(updates)) {
      if (name in form && "value" in properties && properties.value !== form[name]) delete properties.value; // typed since
    }
    if (updates.examples?.value) lab.listedSet = updates.examples.value;
    const news = names.map((name) => updates[name] && { __type__: "update", ...updates[name] });
    updates = {};
    return news;
  };

  // Values that nobody typed. They count at once; a reading comes again with its model, if that is not the one in use.
  lab.bring = (updates, linked) => {
    if (linked && linked.model !== memory.model) memory = { ...memory, linked: (brought = linked) };
    setForm(updates);
    tellGradio(updates);
    if (live || linked) lab.ask();
  };

  // While another model is on its way, the one in use can come back, with the reading that it had.
  function offerCancel({ state, cancel }) {
    const button = document.querySelector("#heatmap .hm-cancel");
    if (!button) return;
    button.textContent = cancel || "";
    button.hidden = state !== "loading" || !lab.answered || lab.answered.model === form.model;
  }
  document.addEventListener("click", ({ target }) => {
    if (!target.closest(".hm-cancel")) return;
    const texts = ["questions", "answers", "matches"];
    const reading = Object.entries(lab.answered).filter(([name]) => !texts.includes(name));
    cancel = form.model;
    memory = { ...memory, linked: {} };
    const news = Object.fromEntries(reading.map(([name, value]) => [name, { value }]));
    setForm(news);
    tellGradio(news);
    lab.ask();
  });

  // The button beside a refused value takes the one that is offered instead; or the answers to a question.
  document.addEventListener("click", ({ target }) => {
    const button = target.closest(".note button");
    const name = button?.closest("[data-piece]")?.dataset.piece.replace(/-note$/, "");
    if (!(name in offers)) return;
    if ("no" in button.dataset) return lab.ask();
    if (offers.permit) memory = { ...memory, permit: offers.permit };
    const news = { [name]: { value: offers[name] } };
    setForm(news);
    tellGradio(news);
    lab.ask();
  });

  lab.atRest = () =>
    !underWay && !Object.keys(updates).length && document.querySelector("#hero").dataset.state !== "loading";
  document.addEventListener("lab:ask", () => lab.ask()); // another view has changed a choice
})();
