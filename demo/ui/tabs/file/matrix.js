// The large matrix: paints up to a million cosines once, as an image within Plotly's axes, and adds right pairs, labels
// and values to the visible part. Computes no cosine. Texts are set as textContent only.
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
  const payload = props.value;
  if (!payload || !payload.seq) return;
  words = payload.words || words;
  if (payload.texts) texts = JSON.parse(payload.texts);
  if (payload.picture) take(payload.picture);
  if (!picture) return;
  if (payload.orders) setOrders(payload.orders.map((order) => new Uint16Array(bytes(order).buffer)));
  if (payload.picture || payload.orders) image = "";
  root.hidden = false;
  leaveCell();
  refresh(payload.seq);
}

// In steps, so that the page answers in between; a newer payload takes over.
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

function take(next) {
  const sameSize = picture && picture.rows === next.rows && picture.columns === next.columns;
  const [steps, pairs] = [next.steps, next.matches].map((text) => new Uint16Array(bytes(text).buffer));
  picture = { ...next, steps, pairs };
  setOrders([picture.rows, picture.columns].map((count) => Uint16Array.from({ length: count }, (_, i) => i)));
  const rgb = bytes(next.palette);
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
  const cells = { x: [], y: [], text: [], textfont: { ...trace.textfont, color: [] } };
  if (size[0] < CELL_WITH_TEXT[0] || size[1] < CELL_WITH_TEXT[1]) return { ...trace, ...cells };
  for (let row = Math.max(0, Math.ceil(view.y[0])); row < Math.min(picture.rows, view.y[1]); row++) {
    for (let column = Math.max(0, Math.ceil(view.x[0])); column < Math.min(picture.columns, view.x[1]); column++) {
      const step = stepAt(row, column);
      cells.x.push(column);
      cells.y.push(row);
      cells.text.push(digits(cosine(step)));
      cells.textfont.color.push(paints[shade(step)].dark ? "#ffffff" : "#101316");
    }
  }
  return { ...trace, ...cells };
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
