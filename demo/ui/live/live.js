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

  // Gradio has built the page: `values` are those of its widgets.
  lab.open = (names, values, isLive) => {
    form = Object.fromEntries(names.map((name, at) => [name, values[at]]));
    live = isLive;
    lab.openLink(form);
    document.dispatchEvent(new CustomEvent("lab:open"));
    lab.ask();
  };
  lab.form = () => form;

  // Another value of a widget, by a person or by Gradio. delay: milliseconds in which more of them may come.
  lab.choose = (name, value, delay = 0) => {
    if (!form || form[name] === value) return;
    form[name] = value;
    lab.keepLink(form);
    if (!live) return markChanged();
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

  // Press Compute: what is drawn no longer belongs to what stands in the boxes.
  function markChanged() {
    const hero = document.querySelector("#hero");
    if (hero.dataset.state === "ready") hero.dataset.state = "changed";
  }

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
    sent = { ...form };
    const body = JSON.stringify({ form: sent, ...memory, drawn: Boolean(lab.answered), ...(link === null ? {} : { link }) });
    const headers = { "Content-Type": "application/json", "X-Page-Id": lab.page };
    return fetch(url, { method: "POST", headers, body });
  }

  function take(answer) {
    if (!answer.refused) {
      link = null;
      memory = answer.memory;
      offers = answer.offers;
      lab.last = { ...lab.last, ...answer };
    }
    setForm(answer.updates || {});
    if (answer.figure) lab.answered = { ...sent, ...valuesOf(answer.updates) };
    lab.draw?.(answer);
    tellGradio(answer.updates || {});
    if (answer.again) timer = setTimeout(lab.ask, 1000 * answer.again);
  }

  // ---- what an answer means for the widgets ---------------------------------------------------------------------

  const valuesOf = (news) =>
    Object.fromEntries(Object.entries(news).flatMap(([name, { value }]) => (name in form && value !== undefined ? [[name, value]] : [])));
  function setForm(news) {
    Object.assign(form, valuesOf(news));
    lab.keepLink(form);
  }

  // Properties that Gradio has already are left out; a value is always news.
  function tellGradio(news) {
    for (const [name, properties] of Object.entries(news)) {
      for (const [property, value] of Object.entries(properties)) {
        const [key, said] = [`${name} ${property}`, JSON.stringify(value)];
        if (property !== "value" && told.get(key) === said) continue;
        told.set(key, said);
        updates[name] = { ...updates[name], [property]: value };
      }
    }
    lab.passUpdates();
  }
  lab.passUpdates = () => Object.keys(updates).length && lab.triggerUpdate?.();

  // The listener of the heatmap's `update` event: Gradio's updates of these widgets.
  lab.takeUpdates = (names) => {
    const news = names.map((name) => updates[name] && { __type__: "update", ...updates[name] });
    updates = {};
    return news;
  };

  // Texts and a reading from another tab. They count at once; the reading comes again with its model, if that is not
  // the one in use.
  lab.visit = ({ updates, linked }) => {
    if (linked.model !== memory.model) memory = { ...memory, linked };
    setForm(updates);
    tellGradio(updates);
    lab.ask();
  };

  // The button beside a refused value takes the one that is offered instead.
  document.addEventListener("click", ({ target }) => {
    const name = target.closest(".note button")?.closest("[data-piece]")?.dataset.piece.replace(/-note$/, "");
    if (!(name in offers)) return;
    const news = { [name]: { value: offers[name] } };
    setForm(news);
    tellGradio(news);
    lab.ask();
  });

  lab.atRest = () =>
    !underWay && !Object.keys(updates).length && document.querySelector("#hero").dataset.state !== "loading";
  document.addEventListener("lab:ask", () => lab.ask()); // another view has changed a choice
})();
