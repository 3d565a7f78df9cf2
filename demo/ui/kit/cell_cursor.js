// Cell cursor: how the keyboard goes from cell to cell of a heatmap, and the tip over a cell. Also a picture's numbers as
// a table, for those who cannot see it. Texts are set as textContent only.

(() => {
  const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  const GAP = 8; // pixels between a cell and its tip

  // The next {row, column} by an arrow key; null for any other key. first: where the cursor appears.
  lab.nextCell = (key, cell, rows, columns, first = { row: 0, column: 0 }) => {
    const step = STEPS[key];
    if (!step || !cell) return step ? first : null;
    const bound = (value, count) => Math.max(0, Math.min(count - 1, value));
    return { row: bound(cell.row + step[0], rows), column: bound(cell.column + step[1], columns) };
  };

  // lines: [label, text] each, the value first. x, y: the middle of the cell in the frame; half: of its height. Pixels.
  lab.showTip = (tip, frame, lines, { x, y, half }) => {
    tip.replaceChildren(
      ...lines.map(([label, text]) => {
        const [paragraph, name] = ["p", "b"].map((tag) => document.createElement(tag));
        name.textContent = label;
        paragraph.append(...(label ? [name, " " + text] : [text]));
        return paragraph;
      })
    );
    tip.firstChild.className = "hm-tip-value";
    tip.hidden = false;
    tip.style.left = Math.max(0, Math.min(frame.clientWidth - tip.offsetWidth, x - tip.offsetWidth / 2)) + "px";
    // Over the cell where there is room on the screen, else under it; never on it.
    const above = y - half - tip.offsetHeight - GAP;
    tip.style.top = (above + frame.getBoundingClientRect().top > 0 ? above : y + half + GAP) + "px";
  };

  // details: its <details>. create: returns {head: [text…], rows: [[text…]…]}; called only when the table is open, which may have thousands of
  // cells. isMatch(row, column): whether a cell is marked, columns counted from the first number.
  lab.fillTable = (details, summary, create, isMatch = () => false) => {
    details.hidden = false;
    details.querySelector("summary").textContent = summary;
    if (!details.open) return;
    const { head, rows } = create();
    const table = document.createElement("table");
    table.createTHead().insertRow().append(...head.map((text) => createCell(text, text && "col")));
    const body = table.createTBody();
    rows.forEach((texts, row) => {
      const cells = texts.map((text, column) => createCell(text, column ? "" : "row"));
      cells.forEach((cell, column) => column && isMatch(row, column - 1) && cell.classList.add("hm-match"));
      body.insertRow().append(...cells);
    });
    details.querySelector("div").replaceChildren(table);
  };

  function createCell(text, scope) {
    const cell = document.createElement(scope ? "th" : "td");
    cell.textContent = text ?? "";
    if (scope) cell.scope = scope;
    return cell;
  }
})();
