// The live heatmap: draws the answers to live requests (live.js) on one plot node that stays, so that zoom survives an
// edit. Marks a chosen cell and triggers `cell`: its explanation stands below. Knows no models or readings. People's texts
// are only ever set as textContent, or escaped for Plotly.
//
// An answer: {state: ready|loading|stale|empty|error, note, progress?, words?, pieces?, figure?, values?, questions?,
// answers?, matches?}. Without a figure the last one stays. values: float32 cosines in base64.

const $ = (name) => element.querySelector(".hm-" + name);
const root = element.querySelector(".hm");
const [frame, stage, plot, numbers, cursor, ring, tip, live] = "frame stage plot numbers cursor ring tip live"
  .split(" ")
  .map($);
const FOLLOW_MS = 250;
const LARGEST_CELL = 400; // pixels; a cell is never higher than wide
const [LOWEST_ROW, LOWEST_ROW_OF_A_PHONE] = [8, 30];
const AROUND = [366, 420]; // pixels over and under the cells of a wide and of a small screen, for what is told there
const SMALLEST_CELL_WITH_TEXT = 26;
const coarse = window.matchMedia("(pointer: coarse)");
const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
let shown = null; // the last payload that carried a figure
let words = {};
let geometry = null; // {across, down, left, top, font}: what the last drawing came to, in pixels
let cell = null; // the keyboard's cell, {row, column}
let explained = null; // the cell that is explained below; root.dataset.explained names it
let answers = 0; // how many were drawn

function onAnswer(answer) {
  words = answer.words || words;
  $("behind").textContent = words.behind || "";
  if (answer.figure) {
    shown = lab.shown = { ...answer, values: unpack(answer.values) }; // what is saved
    draw();
  }
  lab.writePieces(answer.pieces || {}); // after drawing, which asks for widths: the page is laid out once, not twice
  if (answer.figure) {
    if (explained) follow(); // even of the same numbers: the widgets may say more by now than when it last asked
    document.dispatchEvent(new CustomEvent("lab:answered")); // the other views follow
  }
  root.dataset.state = answer.state;
  root.dataset.seq = ++answers;
  root.classList.toggle("hm-has-figure", shown !== null);
  element.closest("#hero").dataset.state = answer.state; // what stands under the picture dims with it
  stage.setAttribute("aria-busy", String(answer.state === "loading"));
  lab.showProgress($("bar"), $("wait-text"), answer, answer.state === "loading");
}

// {bdata, shape: "rows, columns"} → rows of numbers.
function unpack({ bdata, shape }) {
  const numbers = new Float32Array(Uint8Array.from(atob(bdata), (letter) => letter.charCodeAt(0)).buffer);
  const [rows, columns] = shape.split(",").map(Number);
  return Array.from({ length: rows }, (_, row) => Array.from(numbers.subarray(row * columns, (row + 1) * columns)));
}

const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();

// ---- drawing -------------------------------------------------------------------------------------------------

function draw() {
  if (!shown || !window.Plotly || frame.clientWidth === 0) return;
  const [rows, columns] = [shown.questions.length, shown.answers.length];
  geometry = measure(rows, columns);
  const fontFamily = getComputedStyle(root).fontFamily;
  geometry.font = "12px " + fontFamily;
  const { across, down, left, top, right, type } = geometry;
  const trace = { z: shown.values, ...shown.figure.data[0], showscale: false };
  delete trace.text; // cell_text.js writes them
  delete trace.texttemplate;
  const source = shown.figure.layout;
  const ink = colour("--hm-ink");
  const axis = { fixedrange: coarse.matches, color: ink, tickfont: { size: type }, title: { text: "" } };
  axis.ticklabeloverflow = "allow"; // labels are cut to fit below; else Plotly measures every one of them
  const layout = {
    ...source,
    title: { text: "" },
    width: Math.round(left + columns * across + right),
    height: Math.round(top + rows * down + 8),
    margin: { l: left, t: top, r: right, b: 8, pad: 6 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: fontFamily, color: ink },
    dragmode: coarse.matches ? false : "zoom",
    shapes: source.shapes.flatMap(outline),
    xaxis: { ...source.xaxis, ...axis, range: [-0.5, columns - 0.5], ...ticks(shown.answers, "A", across) },
    yaxis: {
      ...source.yaxis,
      ...axis,
      autorange: false,
      range: [rows - 0.5, -0.5],
      ...ticks(shown.questions, "Q", geometry.labels),
    },
  };
  stage.style.minHeight = layout.height + "px";
  const first = !plot.classList.contains("js-plotly-plot");
  const config = { displayModeBar: false, doubleClick: "reset", scrollZoom: false, responsive: false };
  window.Plotly.react(plot, [trace], layout, config);
  if (first) listen();
  plot.setAttribute("aria-label", words.keyboard || "");
  fitText();
  drawLegend(trace);
  drawTable();
  if (explained && (explained.row >= rows || explained.column >= columns)) closeExplanation();
  else placeRing();
  if (cell && (cell.row >= rows || cell.column >= columns)) leaveCell();
  else if (cell) showCell(cell, false);
  else tip.hidden = true;
}

function measure(rows, columns) {
  const width = frame.clientWidth;
  const wide = width >= 560;
  const large = JSON.parse(document.body.dataset.large || "null"); // {type, room}: present mode's letters and height
  const type = large?.type || 12;
  const labels = wide && rows <= 24 && !large ? Math.min(210, width * 0.26) : 0;
  const left = labels ? Math.round(labels) + 16 : Math.round(((rows >= 100 ? 46 : 38) * type) / 12);
  const [right, top] = [wide ? 16 : 4, large ? Math.round(type * 2.2) : 46];
  const height = large ? large.room - top : Math.max(340, window.innerHeight - AROUND[wide ? 0 : 1]);
  const across = Math.min((width - left - right) / columns, large ? Infinity : LARGEST_CELL);
  // Long matrices may grow down the page rather than shrink to lines; they never grow sideways.
  const down = Math.min(across, Math.max(height / rows, wide ? LOWEST_ROW : LOWEST_ROW_OF_A_PHONE));
  return { across, down, left, top, right, labels, large, type };
}

function ticks(texts, letter, room) {
  const need = geometry.large ? (0.7 * String(texts.length).length + 0.9) * geometry.type : 26; // pixels for a number
  const step = Math.max(1, Math.ceil(need / (letter === "A" ? room : geometry.down * 1.6)));
  const numbers = texts.map((_, i) => i).filter((i) => i % step === 0);
  const withText = letter === "A" ? room >= 84 && !geometry.large : room > 0 && geometry.down >= 20;
  return {
    tickvals: numbers,
    ticktext: numbers.map((i) => {
      if (!withText) return letter + (i + 1);
      const start = "<b>" + letter + (i + 1) + "</b>";
      return letter === "A"
        ? start + "<br>" + escaped(lab.fitLabel(texts[i], room - 12, geometry.font))
        : escaped(lab.fitLabel(texts[i], room - 34, geometry.font)) + "  " + start;
    }),
  };
}

// Plotly reads a small subset of HTML in labels.
const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

// A light line on a dark one: seen on every colour of the scale.
function outline(shape) {
  const [x, y] = [geometry.across, geometry.down].map((size) => Math.min(0.06, 4 / size));
  const box = { ...shape, x0: shape.x0 + x, x1: shape.x1 - x, y0: shape.y0 + y, y1: shape.y1 - y };
  const thin = geometry.down < 18;
  return [
    { ...box, line: { width: thin ? 2 : 5, color: "#101316" } },
    { ...box, line: { width: thin ? 1 : 2.5, color: "#ffffff" } },
  ];
}

// After a zoom the cells are larger: their values are shown where they fit now.
function fitText() {
  if (!plot._fullLayout) return;
  const [across, down] = cellSize();
  const size = Math.min(across, down);
  const [{ text, z }] = shown.figure.data;
  numbers.hidden = !text || size < SMALLEST_CELL_WITH_TEXT;
  const type = Math.round(Math.max(10, Math.min(1.7 * geometry.type, size * 0.3)));
  lab.writeNumbers(plot, numbers, numbers.hidden ? [] : text, z ? unpack(z) : shown.values, type);
  $("reset").hidden = across < geometry.across * 1.02 && down < geometry.down * 1.02;
}

function drawLegend(trace) {
  $("legend").hidden = false;
  const relative = shown.scale === "relative";
  $("low").textContent = relative ? words.relative_low : (clipped(trace.zmin) ? "≤ " : "") + digits(trace.zmin);
  $("high").textContent = relative ? words.relative_high : digits(trace.zmax);
  const stops = plot._fullData[0].colorscale.map(([at, paint]) => `${paint} ${at * 100}%`);
  $("ramp").style.background = `linear-gradient(to right, ${stops.join(",")})`;
  $("outlined").textContent = shown.matches.length ? words.outlined : "";
  $("ringed").textContent = words.ring;
  $("reset").textContent = words.reset;
}

// The fixed scale may end above the lowest values: then its end stands for them too.
const clipped = (low) => shown.scale === "unit" && shown.values.some((row) => row.some((value) => value < low - 0.005));

function digits(value) {
  const text = Math.abs(value).toFixed(2).replace(/^0/, "");
  return value < -0.005 ? "−" + text : text;
}

// The same numbers for those who cannot see colours.
function drawTable() {
  const named = (letter, texts) => texts.map((text, i) => `${letter}${i + 1} ${text}`);
  const create = () => ({
    head: ["", ...named("A", shown.answers)],
    rows: named("Q", shown.questions).map((name, row) => [name, ...shown.values[row].map(digits)]),
  });
  lab.fillTable($("table"), words.table, create, belongs);
}

// ---- cells: what lies under the pointer, the finger or the keyboard's cursor ----------------------------------

const belongs = (row, column) => shown.matches.some(([q, a]) => q === row && a === column);

function position(row, column) {
  const { xaxis, yaxis } = plot._fullLayout;
  return { x: xaxis._offset + xaxis.c2p(column), y: yaxis._offset + yaxis.c2p(row) };
}

// Width and height of a cell as it stands there now, zoomed or not.
function cellSize() {
  const [here, next] = [position(0, 0), position(1, 1)];
  return [Math.abs(next.x - here.x), Math.abs(next.y - here.y)];
}

function showTip(row, column) {
  const number = shown.values[row][column].toFixed(4).replace("-", "−").replace("0.", ".");
  const lines = [
    ["", `${words.cosine} ${number}` + (belongs(row, column) ? ` · ${words.matching}` : "")],
    [`Q${row + 1}`, shown.questions[row]],
    [`A${column + 1}`, shown.answers[column]],
  ];
  if (root.dataset.explained === `${row},${column}`) lines.push(["", words.explained]);
  const at = position(row, column);
  const [origin, within, drawn] = [frame, stage, plot].map((node) => node.getBoundingClientRect());
  const half = cellSize()[1] / 2;
  lab.showTip(tip, frame, lines, { x: at.x + drawn.left - origin.left, y: at.y + within.top - origin.top, half });
}

// A frame over a cell; none where the cell is zoomed out of the picture.
function place(node, { row, column }) {
  const { xaxis, yaxis } = plot._fullLayout;
  const at = position(row, column);
  const [width, height] = cellSize();
  const inside = (value, axis) => value > axis._offset && value < axis._offset + axis._length;
  node.hidden = !inside(at.x, xaxis) || !inside(at.y, yaxis);
  Object.assign(node.style, {
    left: at.x - width / 2 + (plot.offsetLeft || 0) + "px",
    top: at.y - height / 2 + "px",
    width: width + "px",
    height: height + "px",
  });
}

function showCell(next, say = true) {
  cell = next;
  place(cursor, cell);
  showTip(cell.row, cell.column);
  if (!say) return;
  const value = shown.values[cell.row][cell.column];
  live.textContent =
    `${words.question.replace("{n}", cell.row + 1)}: ${shown.questions[cell.row]}. ` +
    `${words.answer.replace("{n}", cell.column + 1)}: ${shown.answers[cell.column]}. ` +
    `${words.cosine} ${value.toFixed(2)}${belongs(cell.row, cell.column) ? ", " + words.matching : ""}.`;
}

function leaveCell() {
  cell = null;
  cursor.hidden = true;
  tip.hidden = true;
}

function onKey(event) {
  if (event.key === "Escape") return leaveCell();
  const chosen = cell && (event.key === "Enter" || event.key === " ");
  const next = shown && lab.nextCell(event.key, cell, shown.questions.length, shown.answers.length);
  if (!chosen && !next) return;
  event.preventDefault();
  if (chosen) explain(cell);
  else showCell(next);
}

function listen() {
  const at = (event) => [event.points[0].y, event.points[0].x];
  plot.on("plotly_hover", (event) => cell || showTip(...at(event)));
  plot.on("plotly_unhover", () => cell || (tip.hidden = true));
  plot.on("plotly_click", (event) => {
    leaveCell();
    explain({ row: event.points[0].y, column: event.points[0].x });
  });
  plot.on("plotly_relayouting", () => (numbers.hidden = true)); // dragged: they come back where they then belong
  plot.on("plotly_relayout", () => {
    leaveCell();
    fitText();
    placeRing();
  });
}

// ---- the explained cell: it stays marked until the panel is closed or the cell is gone -------------------------

function explain(next) {
  const opens = !explained;
  explained = next;
  root.dataset.explained = `${next.row},${next.column}`;
  placeRing();
  showTip(next.row, next.column);
  live.textContent = `Q${next.row + 1} × A${next.column + 1}. ${words.explained}.`;
  clearTimeout(following);
  trigger("cell", next);
  const panel = document.querySelector("#explain");
  if (!opens || coarse.matches || !panel) return; // a tap is also how a finger reads the tip: nothing moves under it
  panel.scrollIntoView({ block: "nearest", behavior: calm.matches ? "auto" : "smooth" });
}

function closeExplanation() {
  if (!explained) return;
  explained = null;
  delete root.dataset.explained;
  clearTimeout(following);
  placeRing();
  trigger("cell", { row: null, column: null });
}

function placeRing() {
  if (explained && plot._fullLayout) place(ring, explained);
  else ring.hidden = true;
}

// Another answer under an open panel: it asks anew, once the texts have come to rest.
let following = 0;
function follow() {
  clearTimeout(following);
  following = setTimeout(() => explained && trigger("cell", explained), FOLLOW_MS);
}

plot.addEventListener("keydown", onKey);
plot.addEventListener("blur", leaveCell);
plot.addEventListener("pointerdown", leaveCell);
document.addEventListener("lab:close", () => {
  closeExplanation();
  plot.focus({ preventScroll: true });
});
$("reset").addEventListener("click", () => {
  const [rows, columns] = [shown.questions.length, shown.answers.length];
  window.Plotly.relayout(plot, { "xaxis.range": [-0.5, columns - 0.5], "yaxis.range": [rows - 0.5, -0.5] });
});
$("table").addEventListener("toggle", () => shown && drawTable());
let width = 0;
new ResizeObserver(() => {
  if (frame.clientWidth !== width) draw();
  width = frame.clientWidth;
}).observe(frame);
document.addEventListener("load", ({ target }) => target.src?.includes("/plotly-") && draw(), true); // later than an answer
new MutationObserver(draw).observe(document.body, { attributes: true, attributeFilter: ["class", "data-large"] });

lab.draw = onAnswer;
lab.triggerUpdate = () => trigger("update"); // Gradio asks live.js for the updates of its widgets
watch("value", () => props.value && lab.replace(props.value.updates, props.value.linked)); // of another tab
if (lab.last) onAnswer(lab.last); // it came before this was built
setTimeout(lab.passUpdates, 0);
