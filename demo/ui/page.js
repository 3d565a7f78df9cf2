// What the page does by itself: line numbers beside the texts, summary lines, and folding on a small screen.
// Sends nothing and asks for nothing.

(() => {
  const boxes = { questions: "Q", answers: "A" };

  // A copy of the text lies behind the box and wraps as it does; each line of the copy carries its number.
  function numberLines(id) {
    const area = document.querySelector(`#${id} textarea`);
    if (!area) return 0;
    let copy = area.parentElement.querySelector(".line-numbers");
    if (!copy) {
      area.parentElement.classList.add("numbered");
      copy = document.createElement("div");
      copy.className = "line-numbers";
      copy.setAttribute("aria-hidden", "true");
      area.before(copy);
      area.addEventListener("scroll", () => (copy.scrollTop = area.scrollTop));
      area.addEventListener("input", numberAll);
      new ResizeObserver(() => numberLines(id)).observe(area);
    }
    copy.style.width = area.clientWidth + "px";
    copy.style.height = area.clientHeight + "px";
    let number = 0;
    const lines = area.value.split("\n").slice(0, 1000);
    const nodes = lines.map((text) => {
      const line = document.createElement("div");
      line.textContent = text || "\u200b";
      if (text.trim()) line.dataset.number = boxes[id] + ++number;
      return line;
    });
    copy.replaceChildren(...nodes);
    copy.scrollTop = area.scrollTop;
    return number;
  }

  function numberAll() {
    const counts = Object.keys(boxes).map(numberLines);
    const summary = document.querySelector("#texts .fold-summary");
    const template = summary && summary.dataset.template;
    if (template) {
      summary.textContent = template.replace("{questions}", counts[0]).replace("{answers}", counts[1]);
    }
  }
  window.numberLines = numberAll;

  // Press Compute: what is drawn no longer belongs to what stands in the boxes.
  window.markChanged = () => {
    const hero = document.querySelector("#hero");
    if (hero.dataset.state === "ready") hero.dataset.state = "changed";
  };

  // The address keeps what stands in the boxes and which view is open, behind the "#" that is never sent: it outlives
  // a reload, and is a link.
  const LONGEST_LINK = 8192;
  let linkRead = false;
  let untouched = null; // what stood in the boxes when the page opened: needs no link
  const opened = new URLSearchParams(location.hash.slice(1));
  let view = opened.get("tab") || ""; // "" for the heatmap, which needs no link
  opened.delete("tab");
  let typed = opened.toString(); // what stands in them now, where that is something else
  let viewOpened = false;
  let keeping = 0;
  // With every question: which answer is on the page, so that the server sends what is new since; before the first one,
  // what the address asks for.
  window.sayWhatIsShown = () => {
    const seq = document.querySelector("#heatmap .hm")?.dataset.seq;
    return seq ? `seq=${seq}` : window.readLink();
  };

  window.readLink = () => {
    const link = linkRead ? "" : location.hash.slice(1);
    linkRead = true;
    return link;
  };
  window.keepLink = (said) => {
    const link = new URLSearchParams(said).toString();
    if (untouched === null) untouched = link;
    clearTimeout(keeping);
    keeping = setTimeout(() => {
      typed = link !== untouched && link.length <= LONGEST_LINK ? link : "";
      writeLink();
    }, 300);
  };
  function writeLink() {
    const kept = [typed, view && new URLSearchParams({ tab: view }).toString()].filter(Boolean).join("&");
    const hash = kept && "#" + kept;
    if (hash !== location.hash) history.replaceState(history.state, "", location.pathname + location.search + hash);
  }
  window.keepView = (name) => {
    if (!viewOpened) return;
    document.querySelector(`#view-${name}-button`).scrollIntoView({ block: "nearest", inline: "nearest" });
    view = name === "heatmap" ? "" : name;
    writeLink();
  };
  window.openView = () => {
    viewOpened = true;
    const button = [...document.querySelectorAll("#views [role=tab]")].find((tab) => tab.id === `view-${view}-button`);
    if (button) button.click();
    else view = "";
  };
  window.addEventListener("hashchange", () => location.reload()); // another link in the same tab

  // The bar is written anew with every answer: the reason for the device stays open if somebody has opened it.
  let asksWhy = false;
  document.addEventListener(
    "toggle",
    (event) => {
      if (event.target.matches("#status details")) asksWhy = event.target.open;
    },
    true
  );
  window.keepWhy = () => {
    new MutationObserver(() => {
      const details = document.querySelector("#status details");
      if (details && details.open !== asksWhy) details.open = asksWhy;
    }).observe(document.querySelector("#status"), { childList: true, subtree: true });
  };

  document.addEventListener("click", (event) => {
    const language = event.target.closest("#status a");
    if (language) language.hash = location.hash;
    const head = event.target.closest(".fold-head");
    if (!head) return;
    const section = head.closest(".fold");
    const open = section.classList.toggle("open");
    head.setAttribute("aria-expanded", String(open));
    if (open) numberAll();
  });

  // A file that was just made is fetched through a button that nobody sees, once its address has come.
  window.fetchFile = (place) => {
    const button = document.querySelector(place);
    setTimeout(() => button && button.click(), 100);
  };

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const sheet = document.querySelector("#reading.open");
    if (sheet && !event.target.closest("[role=listbox], input")) sheet.querySelector(".fold-head").click();
  });
})();
