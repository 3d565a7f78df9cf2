// Recommend: what its table's buttons do, and the buttons of other tabs that open it and start it. Sends nothing itself.

(() => {
  const MOST_COMPARED = 4;
  const ticks = () => [...document.querySelectorAll("#recommend-board input:checked")];

  document.addEventListener("click", ({ target }) => {
    const use = target.closest(".recommend-use");
    if (use && lab.form()) lab.bringReading(JSON.parse(use.dataset.form));
    if (target.closest(".recommend-compare")) {
      const [first, ...others] = ticks();
      lab.compareThese([JSON.parse(first.dataset.form), ...others.map((tick) => JSON.parse(tick.dataset.reading))]);
    }
    const take = target.closest(".recommend-take");
    if (take) {
      const { texts } = document.querySelector("#recommend-board [data-texts]").dataset;
      lab.takeHome(JSON.parse(take.dataset.reading), JSON.parse(texts));
    }
    const go = target.closest("[data-recommend]");
    if (go) lab.recommend(go.dataset.recommend);
  });

  // A reading that stands in the lab's form says so; a fifth tick is not taken.
  lab.markRecommended = () => {
    const form = lab.form();
    if (!form) return;
    for (const button of document.querySelectorAll(".recommend-use")) {
      const reading = JSON.parse(button.dataset.form);
      const same = ([name, value]) => form[name] === value || (name === "reference" && reading.postprocess === "none");
      button.disabled = Object.entries(reading).every(same);
      const words = button.disabled ? button.dataset.inUse : button.dataset.use;
      if (button.textContent !== words) button.textContent = words;
    }
    const count = ticks().length;
    for (const tick of document.querySelectorAll("#recommend-board input:not(:checked)")) tick.disabled = count >= MOST_COMPARED;
    for (const button of document.querySelectorAll(".recommend-compare")) button.disabled = count < 2;
  };
  document.addEventListener("lab:form", lab.markRecommended);
  document.addEventListener("change", ({ target }) => target.closest("#recommend-board") && lab.markRecommended());

  // Opens the tab, and starts it unless its result is there already. source: texts, or file.
  lab.recommend = async (source) => {
    document.querySelector("#view-recommend-button").click();
    const choice = await until(() => document.querySelector(`#recommend-source input[value="${source}"]`));
    await until(() => document.querySelector('#recommend .view:not([data-state="first"])'));
    const { state } = document.querySelector("#recommend .view").dataset;
    if (choice.checked && (state === "ready" || state === "running")) return;
    if (!choice.checked) choice.click();
    setTimeout(() => document.querySelector("#recommend-run").click(), 0); // once Gradio has the choice
  };

  const until = (ready) =>
    new Promise((go) => {
      const look = () => {
        const found = ready();
        if (!found) return;
        watching.disconnect();
        go(found);
      };
      const watching = new MutationObserver(look);
      const what = { childList: true, subtree: true, attributes: true, attributeFilter: ["data-state"] };
      watching.observe(document.querySelector("#views"), what);
      look();
    });
})();
