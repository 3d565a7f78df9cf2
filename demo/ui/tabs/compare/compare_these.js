// "Compare these": up to four readings go into Compare, and it opens. Each is an object of the form's fields, the model
// among them: the first becomes the reading in use (A), the others B, C and D. Whatever has `data-compare`, such a list
// as JSON, does it when it is clicked.

lab.compareThese = ([first, ...others]) => {
  if (!first || !lab.form()) return;
  const slots = others.slice(0, 3).map(({ model, ...reading }, at) => ["BCD"[at], model, "kept", reading]);
  if (slots.length) lab.keepSlots(JSON.stringify(slots));
  lab.bringReading(first);
  document.querySelector("#view-compare-button").click();
  document.dispatchEvent(new CustomEvent("lab:reopen", { detail: "compare" }));
};

document.addEventListener("click", ({ target }) => {
  const said = target.closest("[data-compare]")?.dataset.compare;
  if (said) lab.compareThese(JSON.parse(said));
});
