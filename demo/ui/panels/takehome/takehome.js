// Take it home: the dialog with a reading as a script, which Python writes. panel.py says how it is opened. Keeps nothing.
//
// props.value: {ask, words, label, note, alert, code, adapter, again}; adapter: where the folder that the script needs is
// fetched; again: the model is still being loaded.

const $ = (name) => element.querySelector(".takehome-" + name);
const [dialog, library, code, actions] = "dialog library code actions".split(" ").map($);
const said = actions.querySelector("span");
let form = {}; // what is taken home: texts and a reading, as fields of the lab's form
let opener = null; // Safari does not give the focus back to a button that was clicked
let ask = 0; // counts the scripts that were wanted
let words = {};

function request() {
  said.textContent = "";
  trigger("code", { form, library: library.querySelector(":checked").value, ask: ++ask });
}

lab.takeHome = (reading = {}, texts = {}) => {
  const { questions, answers, ...current } = lab.form();
  form = { questions, answers, ...texts, ...(reading.model ? reading : current) };
  opener = document.activeElement;
  for (const place of ["label", "note", "alert", "code"]) $(place).textContent = "";
  code.hidden = actions.hidden = true;
  dialog.showModal();
  request();
};

function onValue() {
  const answer = props.value;
  if (!answer || answer.ask !== ask || !dialog.open) return;
  words = answer.words;
  element.querySelector("h2").textContent = words.title;
  library.querySelector("legend").textContent = words.library;
  for (const name of ["close", "copy", "save", "adapter"]) $(name).textContent = words[name];
  code.setAttribute("aria-label", words.script);
  for (const name of ["label", "note", "alert", "code"]) $(name).textContent = answer[name];
  code.hidden = actions.hidden = !answer.code;
  library.hidden = answer.served;
  $("adapter").hidden = !answer.adapter;
  $("adapter").href = answer.adapter;
  if (answer.again) setTimeout(() => dialog.open && answer.ask === ask && request(), 1000);
}

// The browser's own way is closed on pages that came by plain http from another machine.
async function copy() {
  const done = await (navigator.clipboard?.writeText(code.textContent) ?? Promise.reject())
    .then(() => true)
    .catch(() => {
      getSelection().selectAllChildren(code);
      return document.execCommand("copy");
    });
  said.textContent = done ? words.copied : words.not_copied;
}

function save() {
  const href = URL.createObjectURL(new Blob([code.textContent], { type: "text/x-python" }));
  Object.assign(document.createElement("a"), { href, download: "reading.py" }).click();
  setTimeout(() => URL.revokeObjectURL(href), 1000);
}

$("close").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
dialog.addEventListener("close", () => opener?.focus());
library.addEventListener("change", request);
$("copy").addEventListener("click", copy);
$("save").addEventListener("click", save);
document.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-takehome]");
  if (button) lab.takeHome(JSON.parse(button.dataset.takehome));
});
watch("value", onValue);
