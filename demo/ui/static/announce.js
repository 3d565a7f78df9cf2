// For those who hear the page, or have no mouse: its language and title, the verdict said aloud once it stands still,
// and a way past the boxes to the result. Changes nothing that is seen.

(() => {
  const STILL_MS = 1200; // nobody wants to hear an answer at every key
  const VERDICTS = "#views .verdict, #views .compare-sentence";
  let spoken = "";
  let waiting = 0;

  const shown = (nodes) => [...nodes].find((node) => node.checkVisibility());

  // Of the view that is open; not while its answer is on its way, or is that to another question.
  function speak() {
    const verdict = shown(document.querySelectorAll(VERDICTS));
    const old = verdict?.closest("#view-heatmap") && document.querySelector("#hero").dataset.state !== "ready";
    const text = verdict && !old ? verdict.textContent.trim() : "";
    if (!text || text === spoken) return;
    spoken = text;
    document.querySelector("#aloud").textContent = text;
  }

  // The heading says in which language the page was answered.
  function nameLanguage() {
    const heading = document.querySelector("#status h1");
    if (!heading) return;
    document.documentElement.lang = heading.lang;
    document.title = heading.textContent;
  }

  document.addEventListener("lab:open", () => {
    const voice = Object.assign(document.createElement("div"), { id: "aloud", role: "status" });
    document.querySelector("#views").parentElement.append(voice);
    const hear = (node, heard) => new MutationObserver(heard).observe(node, { childList: true, subtree: true });
    const later = () => {
      clearTimeout(waiting);
      waiting = setTimeout(speak, STILL_MS);
    };
    hear(document.querySelector("#views"), later);
    hear(document.querySelector("#status"), nameLanguage);
    nameLanguage();
    later();
  });

  const seq = () => document.querySelector("#heatmap .hm")?.dataset.seq;

  // Gradio's dropdown lets go of the focus when Enter chooses: it comes back, and the list stays closed. With the focus in
  // it, it would not show a value that an answer brings, so that it comes back after the answer to this choice.
  document.addEventListener("keydown", (event) => {
    const box = event.target;
    if (event.key !== "Enter" || !box.matches?.("input[aria-expanded]")) return;
    const before = seq();
    let left = 25;
    const comeBack = () => {
      if (document.activeElement !== document.body) return;
      if ((seq() === before && left-- > 0) || !lab.atRest()) return setTimeout(comeBack, 40);
      box.focus();
      box.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }));
    };
    box.addEventListener("blur", () => setTimeout(comeBack, 0), { once: true });
  });

  // Gradio opens a list as soon as it has the focus, over its own label. By keyboard it opens with an arrow key instead.
  let byPointer = false;
  document.addEventListener("pointerdown", ({ target }) => {
    byPointer = true;
    if (target === document.activeElement && target.matches('input[aria-expanded="false"]')) target.blur(); // opens it
  }, true);
  document.addEventListener("keydown", () => (byPointer = false), true);
  document.addEventListener("focusin", ({ target }) => {
    if (byPointer || !target.matches("input[aria-expanded]")) return;
    setTimeout(() => target.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true })), 0);
  });

  lab.skipToResult = () => {
    const panel = shown(document.querySelectorAll("#views > [role=tabpanel]"));
    const target = shown(panel.querySelectorAll(".hm-plot")) || panel;
    if (target === panel) panel.tabIndex = -1;
    target.focus();
  };
})();
