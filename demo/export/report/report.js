// A saved page: draws its heatmap, reads a cell in words, and keeps a still picture of the whole for the printer.
// Asks nothing from anywhere. Texts are only ever set as textContent.

(() => {
  const told = JSON.parse(document.getElementById("told").textContent);
  const { data, layout } = labelledFigure(told);
  const node = document.getElementById("figure");
  const cell = document.getElementById("cell");
  const still = document.getElementById("still");
  const belongs = new Set(told.matches.map(([row, column]) => row + "," + column));
  const hint = cell.textContent;
  const line = (label, text) => {
    const part = document.createElement("span");
    part.append(Object.assign(document.createElement("b"), { textContent: label }), " " + text);
    return part;
  };
  const config = {
    displaylogo: false,
    modeBarButtons: [["toImage", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
    toImageButtonOptions: { format: "png", scale: 2, filename: "heatmap" },
  };
  // A copy for the printer: Plotly keeps what it is given, and a picture must not follow the zoom.
  const copy = structuredClone({ data, layout });
  Plotly.newPlot(node, data, layout, config).then(() => {
    node.on("plotly_hover", ({ points: [{ x, y }] }) => {
      const number = told.values[y][x].toFixed(4).replace("-", "−").replace("0.", ".");
      const right = belongs.has(y + "," + x) ? " · " + told.words.belong : "";
      const value = line(told.words.cosine, number + right);
      cell.replaceChildren(value, line("Q" + (y + 1), told.questions[y]), line("A" + (x + 1), told.answers[x]));
    });
    node.on("plotly_unhover", () => cell.replaceChildren(hint));
    return Plotly.toImage(copy, { format: "svg", width: layout.width, height: layout.height });
  }).then((address) => {
    still.src = address;
    document.documentElement.dataset.drawn = "true";
  });
})();
