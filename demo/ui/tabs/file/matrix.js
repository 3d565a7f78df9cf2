// The large matrix: paints up to a million cosines once, as an image within Plotly's axes, and fills in what fits the
// part that is looked at: right pairs, labels, values of cells. Computes no cosine. Texts are set as textContent only.
//
// props.value: {seq, words, texts?: "[[question…], [answer…]]", orders?: [rows, columns],
//               picture?: {rows, columns, steps, range, shown, palette, matches, alt, figure}}, arrays in base64.

const root = element.querySelector(".mx");
const $ = (name) => root.querySelector("." + name);
const [frame, plot, cursor, tip, live] = ["mx-frame", "mx-plot", "hm-cursor", "hm-tip", "hm-live"].map($);
const coarse = window.matchMedia("(pointer: coarse)");
const FEWEST_CELLS = 4; // across, however far it is zoomed
const CELL_WITH_TEXT = [34, 18]; // pixels
const MOST_MARKS = 4000;
const TICK_ROOM = [44, 22]; // pixels
const STEPS = 65535;
const NICE = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];
let words = {};
let texts = [[], []];
let picture = null; // {…, steps: Uint16Array, matches: [row, column] in places on the screen}
let orders = null; // [rows, columns]: the number in the file at each place
let places = null; // their inverse
let image = ""; // what was painted, as a data URL
let paints = null; // CSS colours of the palette, and whether each is dark
let view = null; // {x: [from, to], y: [from, to]}: what is looked at
let cell = null; // the keyboard's or the finger's cell, in places
const on = { moving: false, marked: true }; // what the buttons switch

function onAnswer() {
  const said = props.value;
  if (!said || !said.seq) return;
  words = said.words || words;
  if (said.texts) texts = JSON.parse(said.texts);
  if (said.picture) take(said.picture);
  if (!picture) return;
  if (said.orders) setOrders(said.orders.map((order) => new Uint16Array(bytes(order).buffer)));
  if (said.picture || said.orders) image = "";
  root.hidden = false;
  leaveCell();
  refresh(said.seq);
}

// In steps, so that the page answers in between; what has come meanwhile takes over.
let latest = 0;
async function refresh(seq) {
  latest = seq;
  for (const step of [paint, draw]) {
    await new Promise((resolve) => setTimeout(resolve));
    if (latest !== seq) return;
    step();
  }
  root.dataset.shape = `${picture.rows}x${picture.columns}`;
  root.dataset.seq = seq;
}

function take(said) {
  const sameSize = picture && picture.rows === said.rows && picture.columns === said.columns;
  picture = { ...said, steps: new Uint16Array(bytes(said.steps).buffer), pairs: new Uint16Array(bytes(said.matches).buffer) };
  setOrders([picture.rows, picture.columns].map((count) => Uint16Array.from({ length: count }, (_, i) => i)));
  const rgb = bytes(said.palette);
  paints = Array.from({ length: rgb.length / 3 }, (_, i) => {
    const [r, g, b] = rgb.subarray(3 * i, 3 * i + 3);
    return { css: `rgb(${r},${g},${b})`, word: (255 << 24) | (b << 16) | (g << 8) | r, dark: 0.3 * r + 0.6 * g + 0.1 * b < 128 };
  });
  if (!sameSize) showAll();
}

function setOrders(next) {
  orders = next;
  places = orders.map((order) => {
    const inverse = new Uint16Array(order.length);
    order.forEach((number, place) => (inverse[number] = place));
    return inverse;
  });
}

function bytes(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const letters = atob(text);
  const out = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) out[i] = letters.charCodeAt(i);
  return out;
}

// ---- painting: once for each picture and each order ------------------------------------------------------------

function paint() {
  if (image) return;
  const { rows, columns, steps } = picture;
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: columns, height: rows });
  const brush = canvas.getContext("2d");
  const pixels = brush.createImageData(columns, rows);
  const out = new Uint32Array(pixels.data.buffer);
  const colours = new Uint32Array(STEPS + 1);
  for (let step = 0; step <= STEPS; step++) colours[step] = paints[shade(step)].word;
  const [rowOrder, columnOrder] = orders;
  for (let row = 0, at = 0; row < rows; row++) {
    const start = rowOrder[row] * columns;
    for (let column = 0; column < columns; column++) out[at++] = colours[steps[start + columnOrder[column]]];
  }
  brush.putImageData(pixels, 0, 0);
  image = canvas.toDataURL();
}

function cosine(step) {
  const [low, high] = picture.range;
  return low + (step / STEPS) * (high - low);
}

function shade(step) {
  const [low, high] = picture.shown;
  const share = (cosine(step) - low) / (high - low);
  return Math.round(Math.max(0, Math.min(1, share)) * (paints.length - 1));
}

// row and column: places on the screen
function stepAt(row, column) {
  return picture.steps[orders[0][row] * picture.columns + orders[1][column]];
}

// ---- drawing ---------------------------------------------------------------------------------------------------

function draw() {
  if (!image || !window.Plotly || frame.clientWidth === 0) return;
  const { rows, columns } = picture;
  const wide = frame.clientWidth >= 560;
  const margin = { l: rows >= 100 ? 46 : 38, t: 26, r: wide ? 8 : 2, b: 4, pad: 3 };
  const across = frame.clientWidth - margin.l - margin.r;
  const down = Math.max(260, Math.min((across * rows) / columns, wide ? Math.max(340, window.innerHeight - 190) : across));
  const size = [across / (view.x[1] - view.x[0]), down / (view.y[1] - view.y[0])]; // of a cell, in pixels
  root.classList.toggle("mx-crisp", Math.min(...size) >= 1);
  const [values] = picture.figure.data;
  const source = picture.figure.layout;
  const ink = getComputedStyle(root).getPropertyValue("--mx-ink").trim();
  const axis = { color: ink, tickfont: { size: 11 }, fixedrange: false };
  const place = { xref: "x", yref: "y", x: -0.5, y: -0.5, sizex: columns, sizey: rows, sizing: "stretch", layer: "below" };
  const layout = {
    ...source,
    width: frame.clientWidth,
    height: Math.round(margin.t + down + margin.b),
    margin,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(root).fontFamily, color: ink },
    dragmode: coarse.matches ? (zoomed() ? "pan" : false) : on.moving ? "pan" : "zoom",
    images: [{ source: image, ...place }],
    shapes: markPairs(source.shapes, size),
    xaxis: { ...source.xaxis, ...axis, range: view.x, ...ticks("A", view.x, orders[1], size[0] / TICK_ROOM[0]) },
    yaxis: { ...source.yaxis, ...axis, range: [view.y[1], view.y[0]], ...ticks("Q", view.y, orders[0], size[1] / TICK_ROOM[1]) },
  };
  const config = { displayModeBar: false, doubleClick: false, scrollZoom: false, responsive: false };
  const first = !plot.classList.contains("js-plotly-plot");
  window.Plotly.react(plot, [writeValues(values, size)], layout, config);
  if (first) listen();
  plot.setAttribute("aria-label", `${picture.alt} ${words.keyboard}`);
  frame.style.minHeight = layout.height + "px";
  drawLegend();
}

function ticks(letter, [from, to], order, room) {
  const step = NICE.find((each) => each * room >= 1) || 2000;
  const tickvals = [];
  for (let at = Math.ceil(Math.max(0, from) / step) * step; at <= Math.min(to, order.length - 1); at += step) tickvals.push(at);
  return { tickvals, ticktext: tickvals.map((at) => letter + (order[at] + 1)) };
}

function inside(row, column) {
  return column > view.x[0] && column < view.x[1] && row > view.y[0] && row < view.y[1];
}

// Frames where they fit a cell; where cells are smaller, dots that hide as few of them as can be. All are one path, drawn
// twice: a thousand nodes of their own would take longer than the picture.
function markPairs([under, over], size) {
  const least = Math.min(...size);
  const framed = least >= 8;
  const path = (pixels) => {
    const [x, y] = size.map((each) => (framed ? 0.5 - pixels / each : pixels / 2 / each));
    return marks.map(([row, column]) => `M${column - x},${row - y}H${column + x}V${row + y}H${column - x}Z`).join("");
  };
  const marks = [];
  for (let i = 0; on.marked && i < picture.pairs.length; i += 2) {
    const at = [places[0][picture.pairs[i]], places[1][picture.pairs[i + 1]]];
    if (inside(...at)) marks.push(at);
  }
  if (marks.length === 0 || marks.length > MOST_MARKS) return [];
  const [width, dot] = [least < 18 ? 1.5 : 2.5, Math.max(1.8, least * 0.7)];
  const look = (shape, wider) =>
    framed
      ? { path: path(width), line: { ...shape.line, width: width + 2 * wider } }
      : { path: path(dot + wider), fillcolor: shape.line.color, line: { width: 0 } };
  return [{ ...under, ...look(under, 1) }, { ...over, ...look(over, 0) }];
}

function writeValues(trace, size) {
  const said = { x: [], y: [], text: [], textfont: { ...trace.textfont, color: [] } };
  if (size[0] < CELL_WITH_TEXT[0] || size[1] < CELL_WITH_TEXT[1]) return { ...trace, ...said };
  for (let row = Math.max(0, Math.ceil(view.y[0])); row < Math.min(picture.rows, view.y[1]); row++) {
    for (let column = Math.max(0, Math.ceil(view.x[0])); column < Math.min(picture.columns, view.x[1]); column++) {
      const step = stepAt(row, column);
      said.x.push(column);
      said.y.push(row);
      said.text.push(digits(cosine(step)));
      said.textfont.color.push(paints[shade(step)].dark ? "#ffffff" : "#101316");
    }
  }
  return { ...trace, ...said };
}

function drawLegend() {
  const [low, high] = picture.shown;
  $("mx-low").textContent = (low > picture.range[0] + 0.005 ? "≤ " : "") + digits(low);
  $("mx-high").textContent = (high < picture.range[1] - 0.005 ? "≥ " : "") + digits(high);
  $("hm-ramp").style.background = `linear-gradient(to right, ${paints.filter((_, i) => i % 15 === 0).map(({ css }) => css)})`;
  for (const name of ["marks", "move", "whole"]) $("mx-" + name).textContent = words[name];
  for (const name of ["in", "out"]) $("mx-" + name).setAttribute("aria-label", words["zoom_" + name]);
  $("mx-marks").setAttribute("aria-pressed", String(on.marked));
  $("mx-move").setAttribute("aria-pressed", String(on.moving));
  $("mx-marks").hidden = picture.pairs.length === 0;
  $("mx-move").hidden = coarse.matches;
  $("mx-whole").disabled = $("mx-out").disabled = !zoomed();
  $("mx-hint").textContent = coarse.matches ? words.hint_touch : words.hint;
}

function digits(value, count = 2) {
  const text = Math.abs(value).toFixed(count);
  return (value < 0 && Number(text) !== 0 ? "−" : "") + text.replace(/^0/, "");
}

// ---- what is looked at -----------------------------------------------------------------------------------------

function showAll() {
  view = { x: [-0.5, picture.columns - 0.5], y: [-0.5, picture.rows - 0.5] };
}

function zoomed() {
  return view.x[1] - view.x[0] < picture.columns - 0.01 || view.y[1] - view.y[0] < picture.rows - 0.01;
}

// Within the matrix, and never so near that a few cells fill the screen.
function fit([from, to], count) {
  const length = Math.min(count, Math.max(FEWEST_CELLS, to - from));
  const start = Math.max(-0.5, Math.min(count - 0.5 - length, (from + to - length) / 2));
  return [start, start + length];
}

function look(x, y) {
  view = { x: fit(x, picture.columns), y: fit(y, picture.rows) };
  draw();
}

// Nearer around the marked cell, which is always in sight, else around the middle.
function zoom(factor) {
  const around = ([from, to], centre = (from + to) / 2) => {
    const half = ((to - from) / 2) * factor;
    return [centre - half, centre + half];
  };
  look(around(view.x, cell?.column), around(view.y, cell?.row));
  if (cell) showCell(cell, false);
}

// ---- cells: what lies under the pointer, the finger or the keyboard's cursor -----------------------------------

function cellAt(event) {
  const box = plot.getBoundingClientRect();
  const { xaxis, yaxis } = plot._fullLayout;
  const column = Math.round(xaxis.p2c(event.clientX - box.left - xaxis._offset));
  const row = Math.round(yaxis.p2c(event.clientY - box.top - yaxis._offset));
  const known = row >= 0 && column >= 0 && row < picture.rows && column < picture.columns;
  return known && inside(row, column) ? { row, column } : null;
}

function position({ row, column }) {
  const { xaxis, yaxis } = plot._fullLayout;
  const [x, y] = [xaxis._offset + xaxis.c2p(column), yaxis._offset + yaxis.c2p(row)];
  return { x, y, width: Math.abs(xaxis.c2p(1) - xaxis.c2p(0)), height: Math.abs(yaxis.c2p(1) - yaxis.c2p(0)) };
}

function tell({ row, column }) {
  const [question, answer] = [orders[0][row], orders[1][column]];
  const right = picture.pairs.some((number, i) => i % 2 === 0 && number === question && picture.pairs[i + 1] === answer);
  const [asked, answered] = [texts[0][question] ?? "", texts[1][answer] ?? ""];
  return { question, answer, asked, answered, right: right ? words.matching : "", value: cosine(stepAt(row, column)) };
}

function showTip(at) {
  const { question, answer, asked, answered, right, value } = tell(at);
  const line = (label, text) => {
    const paragraph = document.createElement("p");
    const name = document.createElement("b");
    name.textContent = label;
    paragraph.append(name, document.createTextNode(" " + text));
    return paragraph;
  };
  const verdict = line(words.cosine, digits(value, 4) + (right && ` · ${right}`));
  verdict.className = "hm-tip-value";
  tip.replaceChildren(verdict, line(`Q${question + 1}`, asked), line(`A${answer + 1}`, answered));
  tip.hidden = false;
  const { x, y, height } = position(at);
  tip.style.left = Math.max(0, Math.min(frame.clientWidth - tip.offsetWidth, x - tip.offsetWidth / 2)) + "px";
  // Over the cell where there is room on the screen, else under it; never on it.
  const above = y - height / 2 - tip.offsetHeight - 10;
  tip.style.top = (above + frame.getBoundingClientRect().top > 0 ? above : y + height / 2 + 10) + "px";
}

function showCell(next, say = true) {
  cell = next;
  const { x, y, width, height } = position(cell);
  const [w, h] = [width, height].map((pixels) => Math.max(pixels, 7));
  Object.assign(cursor.style, { left: x - w / 2 + "px", top: y - h / 2 + "px", width: w + "px", height: h + "px" });
  cursor.hidden = false;
  showTip(cell);
  if (!say) return;
  const { question, answer, asked, answered, right, value } = tell(cell);
  live.textContent = `Q${question + 1}: ${asked}. A${answer + 1}: ${answered}. ${words.cosine} ${digits(value)} ${right}`;
}

function leaveCell() {
  cell = null;
  cursor.hidden = tip.hidden = true;
}

const KEYS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
function onKey(event) {
  if (!picture || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") return leaveCell();
  if (event.key === "+" || event.key === "-") return zoom(event.key === "+" ? 0.5 : 2);
  const step = KEYS[event.key];
  if (!step) return;
  event.preventDefault();
  const bound = (value, count) => Math.max(0, Math.min(count - 1, value));
  const next = cell
    ? { row: bound(cell.row + step[0], picture.rows), column: bound(cell.column + step[1], picture.columns) }
    : { row: Math.max(0, Math.ceil(view.y[0])), column: Math.max(0, Math.ceil(view.x[0])) };
  if (!inside(next.row, next.column)) look(view.x.map((end) => end + step[1]), view.y.map((end) => end + step[0]));
  showCell(next);
}

function listen() {
  let pressed = null;
  plot.addEventListener("pointermove", (event) => {
    if (event.pointerType !== "mouse" || cell) return;
    const at = event.buttons ? null : cellAt(event);
    if (at) showTip(at);
    else tip.hidden = true;
  });
  plot.addEventListener("pointerleave", () => cell || (tip.hidden = true));
  plot.addEventListener("pointerdown", (event) => {
    pressed = [event.clientX, event.clientY];
    leaveCell();
  });
  // On the document: Plotly lays a sheet over the page while a pointer is down.
  document.addEventListener("pointerup", (event) => {
    const still = pressed && Math.hypot(event.clientX - pressed[0], event.clientY - pressed[1]) < 5;
    pressed = null;
    const at = still && cellAt(event);
    if (at) showCell(at);
  });
  plot.on("plotly_relayout", (said) => {
    if (!Object.keys(said).some((key) => key.includes("axis"))) return;
    leaveCell();
    const { xaxis, yaxis } = plot.layout;
    look([...xaxis.range], [yaxis.range[1], yaxis.range[0]]);
  });
  // Where nothing can be dragged, Plotly counts a tap and the click that browsers make of it as two.
  plot.on("plotly_doubleclick", () => zoomed() && whole());
}

function toggle(name) {
  on[name] = !on[name];
  draw();
}

function whole() {
  leaveCell();
  showAll();
  draw();
}

const BUTTONS = {
  "mx-in": () => zoom(0.5),
  "mx-out": () => zoom(2),
  "mx-whole": whole,
  "mx-move": () => toggle("moving"),
  "mx-marks": () => toggle("marked"),
};
for (const [name, press] of Object.entries(BUTTONS)) $(name).addEventListener("click", press);
plot.addEventListener("keydown", onKey);
plot.addEventListener("blur", (event) => root.contains(event.relatedTarget) || leaveCell());
let width = 0;
new ResizeObserver(() => {
  if (frame.clientWidth !== width) leaveCell(), draw();
  width = frame.clientWidth;
}).observe(frame);
new MutationObserver(draw).observe(document.body, { attributes: true, attributeFilter: ["class"] });

watch("value", onAnswer);
onAnswer();
