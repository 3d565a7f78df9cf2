// Recipes: a button's reading goes into the form, as a link's would.

// values: of the form's fields; a model alone comes with its own reading.
lab.bringReading = (values) => {
  const updates = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { value }]));
  if ("layer" in values) updates.layer.maximum = Math.max(1, values.layer);
  lab.bring(updates, "prompt" in values ? values : null);
};

document.addEventListener("click", ({ target }) => {
  const button = target.closest(".recipe");
  if (button && lab.form()) lab.bringReading(JSON.parse(button.dataset.values));
});
