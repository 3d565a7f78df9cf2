// The page's file: a file that is dropped anywhere goes to the one upload; its name is kept over a reload, so that the
// page can say which file has to be dropped again. Knows no tab.

(() => {
  const NAME = "lab.file";
  const isFile = (event) => [...(event.dataTransfer?.types || [])].includes("Files");
  let over = 0; // the timer that ends the sign once nothing is dragged over the page any more

  lab.rememberedFile = () => {
    try {
      return sessionStorage.getItem(NAME) || "";
    } catch {
      return ""; // a browser that keeps nothing
    }
  };
  lab.keepFile = (name) => {
    try {
      sessionStorage[name ? "setItem" : "removeItem"](NAME, name);
    } catch {
      // as above
    }
    document.dispatchEvent(new CustomEvent("lab:file"));
  };

  document.addEventListener("dragover", (event) => {
    if (!isFile(event)) return;
    event.preventDefault();
    document.body.dataset.dropping = "";
    clearTimeout(over);
    over = setTimeout(() => delete document.body.dataset.dropping, 200);
  });
  document.addEventListener(
    "drop",
    (event) => {
      const input = document.querySelector(":has(> #page-file-upload) > input[type=file]");
      if (!isFile(event) || !input) return;
      event.preventDefault();
      event.stopPropagation();
      delete document.body.dataset.dropping;
      const one = new DataTransfer();
      one.items.add(event.dataTransfer.files[0]);
      input.files = one.files;
      input.dispatchEvent(new Event("change", { bubbles: true }));
    },
    true
  );
})();
