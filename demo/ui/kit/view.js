// A view: draws the figures that Python sends, each on a node that stays, and says how far they are. Follows the heatmap
// while it is looked at. Knows no figure's content. People's texts are set as textContent; figures bring theirs escaped.
//
// props.value: {seq, state: idle|loading|running|ready|stale|error, note, progress, left, poll, words,
//               figures?: [{id, figure, title, alt, height, square, table}], of?, slots?}; without figures the last ones stay,
// and so does one of which the id alone is said. of: the texts and the reading that it is the answer to, by the names of
// the lab's form: when others stand there, the whole panel dims and says so.

const root = element.querySelector(".view");
const [note, bar, frame] = ["note", "bar", "figures"].map((name) => root.querySelector(".view-" + name));
const POLL_MS = 400;
const REST = 2; // times what an answer and its pictures took: a machine that has much to do is asked less often
const SETTLE_MS = 60;
const PATIENCE_MS = 5000; // after this an unanswered question is taken for lost
const coarse = window.matchMedia("(pointer: coarse)");
const follows = "live" in root.dataset;
const hero = document.querySelector("#hero"); // carries the heatmap's state
const drawn = new Map(); // id → {said, box, plot, width}
let words = {};
let wanted = false; // something new is to be asked for, as soon as the view is looked at
let polls = false; // a job or a load is under way, by the last answer: its progress is asked for
let asked = 0; // when the question under way was sent; 0 for none
let seen = false; // whether the view is on the screen
let seq = null;
let timer = 0;
let of = null;
let since = 0; // when `of` ceased to be what stands in the form
const panel = element.closest("#explain, [role=tabpanel]");

function compareForm() {
  const form = lab.form();
  if (!form || !panel || !of) return;
  const behind = Object.entries(of).some(([name, value]) => form[name] !== value);
  since = behind ? since || performance.now() : 0;
  lab.dim(panel, behind, since);
}

function onAnswer() {
  const answer = props.value;
  if (!answer || !answer.state) return;
  words = answer.words || words;
  const sent = asked || Date.now();
  if (answer.seq !== seq) asked = 0;
  seq = answer.seq;
  root.dataset.state = answer.state;
  root.dataset.seq = answer.seq;
  if (answer.figures) keepFigures(answer.figures);
  root.classList.toggle("view-has-figures", drawn.size > 0);
  frame.setAttribute("aria-busy", String(working(answer)));
  showProgress(answer);
  root.querySelector(".view-behind").textContent = words.behind;
  of = answer.of || of;
  if (answer.slots !== undefined) lab.keepSlots(answer.slots);
  compareForm();
  polls = Boolean(answer.poll || working(answer)); // what was ready by itself is not asked for once more
  if (!polls) return ask();
  ask(Math.min(PATIENCE_MS, Math.max(POLL_MS, REST * (Date.now() - sent))));
}

function working(answer) {
  return answer.state === "loading" || answer.state === "running";
}

function showProgress(answer) {
  lab.showProgress(bar, note, answer, working(answer));
}

// ---- asking: one question at most is under way, and none while nobody looks ------------------------------------

function ask(delay = SETTLE_MS) {
  clearTimeout(timer);
  if (!due()) return;
  const patience = asked ? asked + PATIENCE_MS - Date.now() : 0;
  timer = setTimeout(() => {
    if (!due()) return;
    if (asked && Date.now() < asked + PATIENCE_MS) return ask();
    wanted = polls = false;
    asked = Date.now();
    trigger("tick");
  }, Math.max(delay, patience));
}

function due() {
  return (wanted || polls) && seen && element.isConnected && !(follows && hero.dataset.state === "loading");
}

function follow() {
  wanted = true;
  ask();
}

// The heatmap's own state goes before: while it loads a model the view waits with it, and what the heatmap cannot show
// the view cannot either, so it asks, to say why.
function listenToHeatmap() {
  let state = hero.dataset.state;
  wanted = Boolean(state); // else the heatmap has not answered yet, and what is chosen may still change
  document.addEventListener("lab:answered", follow);
  new MutationObserver(() => {
    const news = hero.dataset.state !== state;
    state = hero.dataset.state;
    if (state === "loading") waitWithHeatmap();
    else if (news) follow();
  }).observe(hero, { attributes: true, attributeFilter: ["data-state"] });
  if (state === "loading") waitWithHeatmap();
}

function waitWithHeatmap() {
  root.dataset.state = "loading";
  showProgress({ ...lab.last, state: "loading" });
}

// ---- drawing ---------------------------------------------------------------------------------------------------

function keepFigures(figures) {
  const ids = figures.map((said) => said.id);
  for (const [id, { box, plot }] of drawn) {
    if (ids.includes(id)) continue;
    window.Plotly?.purge(plot);
    box.remove();
    drawn.delete(id);
  }
  const known = figures.filter((said) => said.figure || drawn.has(said.id));
  known.forEach((said, place) => {
    const one = drawn.get(said.id) || createFigure(said.id);
    if (frame.children[place] !== one.box) frame.insertBefore(one.box, frame.children[place] || null);
    if (!said.figure) return;
    one.said = said;
    draw(one);
    drawTable(one);
  });
}

function createFigure(id) {
  const box = make("figure", "view-figure");
  box.dataset.figure = id;
  const details = make("details", "view-table");
  const table = make("div");
  table.tabIndex = 0;
  details.append(make("summary"), table);
  const plot = make("div", "view-plot");
  plot.setAttribute("role", "img");
  const stage = make("div", "view-stage");
  stage.append(plot);
  box.append(make("figcaption"), stage, details);
  const one = { box, plot, stage, details, caption: box.firstElementChild, width: 0 };
  details.addEventListener("toggle", () => drawTable(one));
  sizes.observe(stage);
  drawn.set(id, one);
  return one;
}

function draw(one) {
  const { plot, said, stage } = one;
  one.caption.textContent = said.title;
  plot.setAttribute("aria-label", said.alt);
  one.width = stage.clientWidth;
  if (!window.Plotly || one.width === 0) return; // drawn when it comes to have a size
  const layout = { ...said.figure.layout };
  const scenes = Object.keys(layout).some((name) => name.startsWith("scene")) || is3d(said.figure.data);
  if (scenes && !canDraw3d()) {
    plot.textContent = words.no_webgl;
    return;
  }
  layout.title = { text: "" }; // it stands above, as text
  layout.margin = { l: 48, r: 12, t: 12, b: 44, ...layout.margin };
  const { l, r, t, b } = layout.margin;
  layout.width = said.square ? Math.min(one.width, said.height) : one.width;
  layout.height = said.square ? layout.width - l - r + t + b : said.height;
  stage.style.minHeight = layout.height + "px";
  layout.paper_bgcolor = layout.plot_bgcolor = "rgba(0,0,0,0)";
  layout.font = { size: 12, ...layout.font, family: getComputedStyle(root).fontFamily, color: colour("--view-ink") };
  layout.hoverlabel = { ...layout.hoverlabel, ...paper(), align: "left" };
  layout.legend = { bgcolor: "rgba(0,0,0,0)", ...layout.legend };
  layout.uirevision = layout.uirevision ?? said.id;
  layout.dragmode = coarse.matches ? false : (layout.dragmode ?? false);
  for (const name of axesOf(layout, said.figure.data)) layout[name] = axis(layout[name], coarse.matches);
  for (const name of Object.keys(layout).filter((key) => /^scene\d*$/.test(key))) layout[name] = scene(layout[name]);
  const first = !plot.classList.contains("js-plotly-plot");
  if (first) plot.textContent = "";
  const config = { displayModeBar: false, scrollZoom: false, responsive: false, doubleClick: "reset" };
  // Copies: Plotly writes into what it draws, and it is drawn again when the width or the theme changes.
  window.Plotly.react(plot, said.figure.data.map((trace) => ({ ...trace })), layout, config);
  if (first) plot.on("plotly_click", (event) => onPick(said.id, event.points[0]));
}

function onPick(figure, point) {
  trigger("pick", { figure, point: point.customdata ?? [point.x, point.y] });
}

function axesOf(layout, data) {
  const flat = data.some((trace) => !/3d|surface|pie|table/.test(trace.type || ""));
  const named = Object.keys(layout).filter((name) => /^[xy]axis\d*$/.test(name));
  return flat ? new Set([...named, "xaxis", "yaxis"]) : named;
}

function axis(said, fixed) {
  const line = colour("--view-line");
  const lines = { gridcolor: line, zerolinecolor: line, linecolor: line };
  const title = said?.title && { ...said.title, font: { size: 12, ...said.title.font } };
  return { automargin: true, ...said, ...(title ? { title } : {}), ...lines, color: colour("--view-ink"), ...(fixed ? { fixedrange: true } : {}) };
}

function scene(said) {
  const axes = ["xaxis", "yaxis", "zaxis"].map((name) => [name, { ...axis(said[name], false), showbackground: false }]);
  for (const [, each] of axes) delete each.automargin;
  return { ...said, bgcolor: "rgba(0,0,0,0)", ...Object.fromEntries(axes) };
}

function paper() {
  const font = { color: colour("--view-ink"), family: getComputedStyle(root).fontFamily, size: 12 };
  return { bgcolor: colour("--view-paper"), bordercolor: colour("--view-edge"), font };
}

function colour(name) {
  const value = getComputedStyle(root).getPropertyValue(name).trim();
  return value || undefined;
}

function is3d(data) {
  return data.some((trace) => /3d$|^surface$/.test(trace.type || ""));
}

let webgl = null;
function canDraw3d() {
  if (webgl === null) webgl = Boolean(document.createElement("canvas").getContext("webgl"));
  return webgl;
}

// The same numbers for those who cannot see the picture.
function drawTable({ details, said }) {
  if (said.table) lab.fillTable(details, words.table, () => said.table);
  else details.hidden = true;
}

function make(tag, name = "", text = "") {
  const node = document.createElement(tag);
  if (name) node.className = name;
  node.textContent = text ?? "";
  return node;
}

const sizes = new ResizeObserver(() => {
  for (const one of drawn.values()) if (one.stage.clientWidth !== one.width) draw(one);
});
document.addEventListener("load", ({ target }) => target.src?.includes("/plotly-") && drawn.forEach(draw), true); // later than an answer
new MutationObserver(() => drawn.forEach(draw)).observe(document.body, { attributes: true, attributeFilter: ["class"] });
new IntersectionObserver((entries) => {
  seen = entries.at(-1).isIntersecting;
  if (seen) ask();
}).observe(root);

if (follows) listenToHeatmap();
document.addEventListener("lab:form", compareForm);
document.addEventListener("lab:reopen", ({ detail }) => element.closest("#" + detail) && trigger("opened"));
document.addEventListener("lab:file", follow);
watch("value", onAnswer);
onAnswer();
setTimeout(() => trigger("opened"), 0); // Gradio builds a tab when it is first opened, and once
