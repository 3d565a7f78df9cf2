// Present mode: the heatmap, its verdict and the texts in large type, and the prepared sets one after another, by
// keyboard or a clicker. `body.presenting` is the mode; styles/present.css lays it out, heatmap.js reads `data-large`.
// Leaving brings one's own texts back. Title and texts are always of what stands in the boxes; the heatmap dims until it is
// the answer to that. Computes nothing.
//
// props.value: {words}, said once. The sets are those of texts.js.

const $ = (name) => element.querySelector(".present-" + name);
const [bar, open, live, texts, back, next] = "bar open live texts back next".split(" ").map($);
const OWN = -1; // where one's own texts stand, before the first set
const LEGEND = 4.5; // heights of a letter: the legend, and the space above and below it
const SMALL = 860; // a screen up to here is scrolled: nothing needs to fit
const BOXES = ["questions", "answers", "matches"];
let words = {};
let at = OWN;
let own = null; // {questions, answers, matches}: what stood there before, if it is none of the sets
let view = null; // the tab that was open
let focused = null;

const presenting = () => document.body.classList.contains("presenting");

function onValue() {
  if (!props.value) return;
  ({ words } = props.value);
  open.hidden = false;
  for (const name of ["open", "share", "leave"]) $(name).textContent = words[name];
  open.title = words.open_hint;
  $("full").textContent = words.full;
  back.setAttribute("aria-label", words.back);
  next.setAttribute("aria-label", words.next);
  bar.setAttribute("aria-label", words.mode);
  texts.querySelectorAll("h2").forEach((head, i) => (head.textContent = words[BOXES[i]]));
}

// ---- in and out ----------------------------------------------------------------------------------------------------

function enter() {
  if (presenting() || !lab.preparedSets().length) return;
  own = null;
  find();
  focused = document.activeElement;
  view = document.querySelector("#views [role=tab][aria-selected=true]");
  document.querySelector("#view-heatmap-button").click();
  window.scrollTo(0, 0);
  show(true);
  live.textContent = `${words.mode}. ${words.keys} ${where()}`;
}

function leave() {
  if (!presenting()) return;
  if (own) step(OWN);
  if (document.fullscreenElement) document.exitFullscreen();
  show(false);
  live.textContent = words.left;
  view?.click();
  (focused?.isConnected ? focused : open).focus();
}

function show(on) {
  bar.hidden = texts.hidden = !on;
  $("full").hidden = !document.fullscreenEnabled;
  for (const node of [document.body, element.closest("main > .column")]) node.classList.toggle("presenting", on);
  if (on) write();
  else measure();
  if (on) bar.focus();
}

// What heatmap.js may take, so that all fits the screen: the size of its letters, the height for them and its cells.
function measure() {
  if (!presenting()) return void delete document.body.dataset.large;
  const type = Math.round(Math.min(34, Math.max(14, Math.min(window.innerWidth / 56, window.innerHeight / 32))));
  document.body.style.setProperty("--present-type", type + "px");
  const room = window.innerHeight - bar.offsetHeight;
  const under = document.querySelector("#verdict").offsetHeight + LEGEND * type;
  document.body.dataset.large = JSON.stringify({ type, room: Math.max(220, room - under) });
  for (let size = 0.95; size > 0.5; size -= 0.06) {
    texts.style.fontSize = `max(13px, ${size * type}px)`;
    if (texts.offsetHeight <= room - 1.5 * type || window.innerWidth <= SMALL) break;
  }
}

// ---- where one is --------------------------------------------------------------------------------------------------

// What stands in the boxes: one of the sets, or texts of one's own.
function find() {
  at = lab.preparedSets().findIndex((set) => set.id === lab.standingSet());
  if (at === OWN) own = Object.fromEntries(BOXES.map((box) => [box, lab.form()[box]]));
}
const sets = () => lab.preparedSets();
const title = () => (at === OWN ? words.own : sets()[at].title);
const place = () => (at === OWN ? "" : `${at + 1} / ${sets().length}`);
const where = () => [place(), title(), at === OWN ? "" : sets()[at].teaches].filter(Boolean).join(". ");

function write() {
  $("at").textContent = place();
  $("title").textContent = title();
  $("teaches").textContent = at === OWN ? "" : sets()[at].teaches;
  back.disabled = at === (own ? OWN : 0);
  next.disabled = at === sets().length - 1;
  $("reading").textContent = document.querySelector("#reading .fold-summary")?.textContent || "";
  const lists = texts.querySelectorAll("ol");
  BOXES.slice(0, 2).forEach((box, i) => {
    const lines = lab.form()[box].split("\n").filter((line) => line.trim());
    lists[i].replaceChildren(...lines.slice(0, 1000).map((line, number) => item("QA"[i] + (number + 1), line)));
  });
  measure();
}

function item(label, text) {
  const line = document.createElement("li");
  const name = document.createElement("b");
  name.textContent = label;
  line.append(name, " " + text);
  return line;
}

function step(to) {
  const bounded = Math.max(own ? OWN : 0, Math.min(sets().length - 1, to));
  if (bounded === at) return;
  lab.stepToSet(bounded === OWN ? own : sets()[bounded]);
  lab.ask();
  live.textContent = where();
}

// ---- keys ----------------------------------------------------------------------------------------------------------

const STEPS = { ArrowRight: 1, PageDown: 1, ArrowLeft: -1, PageUp: -1 };
function onKey(event) {
  if (event.altKey && event.code === "KeyP" && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    return presenting() ? leave() : enter();
  }
  if (!presenting() || document.querySelector("dialog[open]")) return;
  const inPlot = event.target.closest?.(".hm-plot"); // there the arrows go from cell to cell, Escape leaves the cell
  if (event.key === "Escape" && !(inPlot && !document.querySelector(".hm-cursor").hidden)) return leave();
  if (!(event.key in STEPS) || event.altKey || event.ctrlKey || event.metaKey) return;
  if ((inPlot && event.key.startsWith("Arrow")) || event.target.closest?.("input, textarea, select")) return;
  event.preventDefault();
  step(at + STEPS[event.key]);
}

let full = false; // whether the full screen is ours: leaving it, which Escape does, leaves the mode
function onFull() {
  if (full && !document.fullscreenElement) leave();
  full = Boolean(document.fullscreenElement) && presenting();
}

open.addEventListener("click", enter);
back.addEventListener("click", () => step(at - 1));
next.addEventListener("click", () => step(at + 1));
$("leave").addEventListener("click", leave);
$("share").addEventListener("click", () => lab.openShare());
$("full").addEventListener("click", () => {
  if (document.fullscreenElement) document.exitFullscreen();
  else document.documentElement.requestFullscreen();
});
document.addEventListener("keydown", onKey, true);
document.addEventListener("fullscreenchange", onFull);
document.addEventListener("lab:answered", () => {
  if (!presenting()) return;
  measure();
  live.textContent = document.querySelector("#verdict .verdict")?.textContent || "";
});
document.addEventListener("lab:form", () => {
  if (!presenting()) return;
  find();
  write();
});
window.addEventListener("resize", () => presenting() && measure());
watch("value", onValue);
onValue();
