// A pasted table: two or more columns of a spreadsheet go to the server, which reads them as a file's rows are read, and
// come back as the texts of both boxes, or are the page's file from then on. A column alone, and any other text, stays
// what the browser makes of it.

(() => {
  let rows = null; // of the table that was pasted last
  let plain = ""; // the same as text, for what turns out to be no table of texts
  let box = null; // in which it was pasted

  // The text of a cell as it is seen: HTML's own white space is one space, and a <br> a line break.
  function textOf(cell) {
    const walk = (node) => {
      if (node.nodeType === Node.TEXT_NODE) return node.data.replace(/[ \t\r\n\f]+/g, " ");
      if (node.nodeName === "BR") return "\n";
      return ["STYLE", "SCRIPT"].includes(node.nodeName) ? "" : Array.from(node.childNodes, walk).join("");
    };
    return walk(cell).replaceAll("\u00a0", " ").replace(/ *\n */g, "\n").trim();
  }

  // What Excel, Google Sheets and LibreOffice put beside the text: exact, where quotation marks in the text are not. The
  // parsed page is inert: nothing of it is fetched or run.
  function rowsOfHtml(html) {
    const page = new DOMParser().parseFromString(html, "text/html");
    const tables = page.querySelectorAll("table");
    if (tables.length !== 1) return null;
    const found = Array.from(tables[0].rows, (row) =>
      Array.from(row.cells).flatMap((cell) => [textOf(cell), ...Array(Math.min(cell.colSpan, 64) - 1).fill("")])
    );
    tables[0].remove();
    return textOf(page.body) ? null : found;
  }

  // Cells between tabs; one that holds a tab or a line break stands in quotation marks, which are doubled inside it.
  function rowsOfText(text) {
    const cell = /(?:"((?:[^"]|"")*)"(?=\t|\r?\n|$)|([^\t\r\n]*))(\t|\r?\n|$)/y;
    const found = [[]];
    while (cell.lastIndex < text.length) {
      const part = cell.exec(text);
      if (!part) return null; // a lone carriage return
      found.at(-1).push(part[1] === undefined ? part[2] : part[1].replaceAll('""', '"'));
      if (part[3] !== "\t") found.push([]);
      else if (cell.lastIndex === text.length) found.at(-1).push("");
    }
    return found.filter((row) => row.length);
  }

  const isTable = (found) => {
    const widths = (found || []).filter((row) => row.some((text) => text.trim())).map((row) => row.length);
    return widths.length > 0 && widths.every((width) => width === widths[0] && width > 1);
  };

  document.addEventListener(
    "paste",
    (event) => {
      const area = event.target.closest?.("#questions textarea, #answers textarea");
      const data = event.clipboardData;
      const button = document.querySelector("#page-file-paste");
      if (!area || !data || !button) return;
      plain = data.getData("text/plain");
      const html = data.getData("text/html");
      rows = (html && rowsOfHtml(html)) || rowsOfText(plain);
      if (!isTable(rows)) return;
      event.preventDefault();
      event.stopPropagation();
      box = area;
      button.click();
    },
    true
  );

  lab.pastedRows = () => JSON.stringify(rows);
  lab.takePasted = ({ fields, file, said }) => {
    if (fields) {
      lab.replace(Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, { value }])));
    } else if (!file) {
      box.focus();
      document.execCommand("insertText", false, plain); // as if it had not been taken from the browser
    }
    rows = null;
    lab.sayOfTexts(said || "");
  };
})();
