// What is typed goes out at once, as the question that Gradio is about to send, and its answer is drawn; Gradio hears
// of the letter once it is painted. Its front end works 15 ms before it sends, and as long beside the model's pass, on
// the same cores. It stays the one who asks: it sends the question too, and is handed the answer that is there. Where
// it asks anything else, or that answer is none, what went ahead counts for nothing.

(() => {
  const LONGEST_HELD = 150; // milliseconds
  const UNASKED = 500; // milliseconds after which Gradio has seen no edit at all: what was typed was taken back
  const fetchNow = window.fetch.bind(window);
  let places = {}; // box → where its text stands in a question
  let coming = ""; // the question that Gradio sends next
  let last = null; // the last one, as it was sent: {input, init, body}
  let early = null; // the one that went ahead, until Gradio sends its own: {said, answer}
  let underWay = 0; // Gradio's own, until they are answered
  let held = null; // a letter that Gradio has not heard of: {event, timer}

  // Called with what Gradio is about to send; the last of it tells what the page shows, which may change until then.
  window.asking = (data, boxes) => {
    places = boxes;
    coming = said(data);
    return data;
  };
  const said = (data) => JSON.stringify(data.slice(0, -1));

  window.fetch = (input, init) => {
    const body = coming && parse(init?.body);
    if (!body || said(body.data) !== coming) return fetchNow(input, init);
    const [ask, ahead, question] = [() => fetchNow(input, init), early, coming];
    // One at a time, or the server might take the older one for the newer.
    const answer = ahead ? ahead.answer.then((response) => (ahead.said === question && response) || ask()) : ask();
    last = { input, init, body };
    early = null;
    coming = "";
    underWay++;
    return answer.finally(() => underWay--);
  };

  function parse(text) {
    try {
      const body = JSON.parse(text);
      return Array.isArray(body?.data) ? body : null;
    } catch {
      return null;
    }
  }

  document.addEventListener("input", onInput, true);
  function onInput(event) {
    const name = event.isTrusted && Object.keys(places).find((id) => event.target.matches(`#${id} textarea`));
    if (!name || !last || early || underWay) return;
    const before = last.body.data[places[name]];
    const data = [...last.body.data];
    data[places[name]] = event.target.value;
    data[data.length - 1] = window.sayWhatIsShown();
    const answer = fetchNow(last.input, { ...last.init, body: JSON.stringify({ ...last.body, data }) });
    const mine = { said: said(data), answer: answer.then(draw).catch(() => null) };
    early = mine;
    mine.answer.then(() => {
      release();
      setTimeout(() => early === mine && askAnew(), UNASKED);
    });
    if (countLines(before) !== countLines(event.target.value)) return; // the box grows, and has another number
    event.stopImmediatePropagation();
    held = { event, timer: setTimeout(release, LONGEST_HELD) };
  }
  function askAnew() {
    early = null;
    document.dispatchEvent(new CustomEvent("lab:ask"));
  }
  const countLines = (text) => text.split("\n").length;

  // Whatever somebody does next finds the letter where it belongs.
  for (const type of ["keydown", "pointerdown", "focusout", "compositionstart", "paste", "cut", "drop"]) {
    document.addEventListener(type, release, true);
  }
  function release() {
    if (!held) return;
    const { event, timer } = held;
    clearTimeout(timer);
    held = null;
    event.target.dispatchEvent(new InputEvent("input", { bubbles: true, inputType: event.inputType, data: event.data }));
  }

  // Resolves to the response once its answer is painted; to null where it is none: typed over, refused, gone wrong.
  async function draw(response) {
    const told = response.ok && (await response.clone().json());
    const answer = told?.data?.[0];
    if (!answer?.state || answer.state === "error") return null;
    document.dispatchEvent(new CustomEvent("lab:ahead", { detail: answer }));
    await new Promise((go) => {
      requestAnimationFrame(() => setTimeout(go, 0));
      setTimeout(go, 100); // in a hidden tab nothing is painted
    });
    return response;
  }
})();
