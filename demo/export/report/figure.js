// The heatmap as it is taken home: title, axes with the texts, colour bar. For saved pages and for PNG and SVG alike.
// The live one on the page says all of that around the picture. People's texts are escaped: Plotly reads a small HTML.
//
// told: {figure, values, questions, answers, title, subtitle, words: {questions, answers, bar}}, where figure is
// what draw_similarity made and values the cosines. Returns what Plotly.newPlot takes.

function labelledFigure({ figure, values, questions, answers, title, subtitle, words }) {
  const MARK = /[\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7af\uf900-\ufaff\uff00-\uff60]/; // as wide as two letters
  const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  function cut(text, room) {
    let kept = "";
    for (const letter of text.replace(/\s+/g, " ")) {
      room -= MARK.test(letter) ? 2 : 1;
      if (room < 0) return escaped(kept.trimEnd()) + "…";
      kept += letter;
    }
    return escaped(kept);
  }
  const rows = questions.length;
  const columns = answers.length;
  const smallest = rows * columns > 40000 ? 1 : 6;
  const size = Math.max(smallest, Math.min(96, 900 / Math.max(rows, columns)));
  const written = size >= 18; // so that a line of text fits beside a cell
  const left = written ? 280 : 80;
  const above = written ? 190 : 60;
  const right = written ? 190 : 110; // an answer's text leans over the last column
  const heading = 70;
  const small = { size: 12 };
  // Else Plotly leaves out labels that reach beyond the axis.
  const bare = { ticklabeloverflow: "allow", showgrid: false, zeroline: false, ticks: "" };
  const axis = (texts, letter) => {
    const step = written ? 1 : Math.ceil((letter === "A" ? 44 : 18) / size);
    const shown = texts.map((_, place) => place).filter((place) => place % step === 0);
    const number = (place) => letter + (place + 1);
    const said = (place) => (written ? `<b>${number(place)}</b> ${cut(texts[place], 28)}` : number(place));
    return { tickvals: shown, ticktext: shown.map(said), tickfont: small, ...bare };
  };
  const inset = Math.min(0.06, 1.5 / size);
  const outline = ({ x0, x1, y0, y1, ...box }) => {
    const inner = { ...box, x0: x0 + inset, x1: x1 - inset, y0: y0 + inset, y1: y1 - inset };
    return [
      { ...inner, line: { width: size < 18 ? 2 : 5, color: "#101316" } },
      { ...inner, line: { width: size < 18 ? 1 : 2.5, color: "#ffffff" } },
    ];
  };
  const [source] = figure.data;
  const trace = {
    z: values,
    ...source,
    showscale: true,
    texttemplate: source.text && size >= 26 ? "%{text}" : "",
    textfont: { size: Math.round(Math.max(10, Math.min(18, size * 0.3))) },
    colorbar: { ...source.colorbar, title: { text: words.bar, side: "right" }, len: 1, lenmode: "fraction" },
  };
  return {
    data: [trace],
    layout: {
      template: "none",
      title: {
        text: escaped(title),
        subtitle: { text: escaped(subtitle) },
        ...{ x: 0, xref: "container", xanchor: "left", y: 1, yref: "container", yanchor: "top", pad: { t: 14, l: 16 } },
      },
      width: Math.round(Math.max(640, left + columns * size + right)),
      height: Math.round(heading + above + rows * size + 20),
      margin: { l: left, t: heading + above, r: right, b: 20, pad: 6 },
      paper_bgcolor: "#ffffff",
      plot_bgcolor: "#ffffff",
      font: { family: "system-ui, sans-serif", color: "#1c2126", size: 13 },
      shapes: figure.layout.shapes.flatMap(outline),
      xaxis: {
        ...axis(answers, "A"),
        side: "top",
        range: [-0.5, columns - 0.5],
        constrain: "domain",
        tickangle: written ? -40 : 0,
        title: { text: escaped(words.answers), standoff: 8 },
      },
      yaxis: {
        ...axis(questions, "Q"),
        range: [rows - 0.5, -0.5],
        scaleanchor: "x",
        constrain: "domain",
        title: { text: escaped(words.questions), standoff: 8 },
      },
      dragmode: "zoom",
    },
  };
}
