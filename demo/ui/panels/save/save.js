// The fold that saves what the heatmap shows. Pictures are made here, from what was drawn last; asks no server for them.
// Stands behind figure.js. props.value: {hint, message, failed, nothing}.

const [hint, alert] = element.querySelectorAll("p");
const SHARPNESS = 2; // a PNG's pixels for each of the picture's own

function say(message) {
  alert.textContent = message || "";
  alert.hidden = !message;
}

function onNote() {
  const { hint: what, message } = props.value || {};
  hint.textContent = what || "";
  say(message);
}

async function savePicture(format) {
  const { shown } = window.lab;
  if (!shown) return say(props.value.nothing);
  const figure = labelledFigure({ ...shown, ...shown.about });
  const { width, height } = figure.layout;
  try {
    await window.Plotly.downloadImage(figure, { format, width, height, scale: format === "png" ? SHARPNESS : 1, filename: "heatmap" });
    say("");
  } catch (error) {
    say(props.value.failed);
  }
}

document.addEventListener("lab:picture", (event) => savePicture(event.detail));
watch("value", onNote);
onNote();
