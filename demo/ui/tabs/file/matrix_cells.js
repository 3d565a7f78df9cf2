// The large matrix's cells: the tip and the cursor under the pointer, the finger and the keyboard. Stands before matrix.js
// in one script, whose variables it uses.

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

function describe({ row, column }) {
  const [question, answer] = [orders[0][row], orders[1][column]];
  const right = picture.pairs.some((number, i) => i % 2 === 0 && number === question && picture.pairs[i + 1] === answer);
  const lines = [
    [`Q${question + 1}`, texts[0][question] ?? ""],
    [`A${answer + 1}`, texts[1][answer] ?? ""],
  ];
  return { lines, right: right ? words.matching : "", value: cosine(stepAt(row, column)) };
}

function showTip(at) {
  const { lines, right, value } = describe(at);
  const { x, y, height } = position(at);
  const verdict = [words.cosine, digits(value, 4) + (right && ` · ${right}`)];
  lab.showTip(tip, frame, [verdict, ...lines], { x, y, half: height / 2 });
}

function showCell(next, say = true) {
  cell = next;
  const { x, y, width, height } = position(cell);
  const [w, h] = [width, height].map((pixels) => Math.max(pixels, 7));
  Object.assign(cursor.style, { left: x - w / 2 + "px", top: y - h / 2 + "px", width: w + "px", height: h + "px" });
  cursor.hidden = false;
  showTip(cell);
  if (!say) return;
  const { lines, right, value } = describe(cell);
  live.textContent = `${lines.map((line) => line.join(": ") + ".").join(" ")} ${words.cosine} ${digits(value)} ${right}`;
}

function leaveCell() {
  cell = null;
  cursor.hidden = tip.hidden = true;
}

function onKey(event) {
  if (!picture || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") return leaveCell();
  if (event.key === "+" || event.key === "-") return zoom(event.key === "+" ? 0.5 : 2);
  const first = { row: Math.max(0, Math.ceil(view.y[0])), column: Math.max(0, Math.ceil(view.x[0])) };
  const next = lab.nextCell(event.key, cell, picture.rows, picture.columns, first);
  if (!next) return;
  event.preventDefault();
  const [down, across] = cell ? [next.row - cell.row, next.column - cell.column] : [0, 0];
  if (!inside(next.row, next.column)) look(view.x.map((end) => end + across), view.y.map((end) => end + down));
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
  plot.on("plotly_relayout", (changes) => {
    if (!Object.keys(changes).some((key) => key.includes("axis"))) return;
    leaveCell();
    const { xaxis, yaxis } = plot.layout;
    look([...xaxis.range], [yaxis.range[1], yaxis.range[0]]);
  });
  // Where nothing can be dragged, Plotly counts a tap and the click that browsers make of it as two.
  plot.on("plotly_doubleclick", () => zoomed() && whole());
}
