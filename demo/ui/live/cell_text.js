// The numbers in the cells of a Plotly heatmap, over it. Plotly makes its own texts anew at every drawing, which took 9
// of 22 ms for a hundred cells; here a number that has stayed the same is not touched.

(() => {
  const EQUAL = 0.194; // the luminance on which white and the dark ink are read equally well

  // layer: lies over the plot; texts: what stands in the cells, row by row, or []; colours: what their colours stand
  // for, likewise; fontSize: pixels.
  lab.writeNumbers = (plot, layer, texts, colours, fontSize) => {
    if (!texts.length) return layer.replaceChildren();
    const { xaxis, yaxis } = plot._fullLayout;
    const across = texts[0].map((_, column) => xaxis.c2p(column) + "px");
    const down = texts.map((_, row) => yaxis.c2p(row) + "px");
    const box = { left: xaxis._offset, top: yaxis._offset, width: xaxis._length, height: yaxis._length };
    for (const [side, pixels] of Object.entries(box)) layer.style[side] = pixels + "px";
    layer.style.fontSize = fontSize + "px";
    const place = [across, down].join();
    const moved = layer.dataset.place !== place || !layer.firstChild;
    layer.dataset.place = place;
    while (layer.children.length > texts.length * across.length) layer.lastChild.remove();
    const isDark = readColours(plot._fullData[0]);
    let node = layer.firstChild;
    texts.forEach((row, r) =>
      row.forEach((text, c) => {
        node ||= layer.appendChild(document.createElement("span"));
        if (node.textContent !== text) node.textContent = text;
        const name = isDark(colours[r][c]) ? "on-dark" : "";
        if (node.className !== name) node.className = name;
        if (moved) Object.assign(node.style, { left: across[c], top: down[r] });
        node = node.nextSibling;
      })
    );
  };

  // Whether the colour of a number is dark.
  function readColours({ colorscale, zmin, zmax }) {
    const stops = colorscale.map(([at, paint]) => [at, luminance(paint)]);
    return (value) => {
      const share = Math.max(0, Math.min(1, (value - zmin) / (zmax - zmin) || 0));
      const next = Math.max(1, stops.findIndex(([at]) => at >= share));
      const [[from, low], [to, high]] = [stops[next - 1], stops[next]];
      return low + ((high - low) * (share - from)) / (to - from) < EQUAL;
    };
  }

  // WCAG 2.2's relative luminance of a colour that is written "rgb(…)".
  function luminance(paint) {
    const [red, green, blue] = paint.match(/[\d.]+/g).map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  }
})();
