// The address keeps what stands in the boxes and which view is open, behind the "#" that is never sent: it outlives a
// reload, and is a link. Another view and another set of texts are each a page to the browser's Back and Forward. Sends
// nothing. demo/ui/live/link.py reads what is written here.

(() => {
  const LONGEST = 32768; // characters; no longer one is read
  const LONGEST_PLAIN = 2000; // what is longer is packed
  const KEEP_MS = 300; // of rest, before the address is written
  let openedWith = null; // what stood in the boxes when the page opened, by name: needs no link
  let saidNow = {}; // what stands in them, by name
  const opened = new URLSearchParams(location.hash.slice(1));
  let view = opened.get("tab") || ""; // "" for the heatmap, which needs no link
  let slots = opened.get("compare") || ""; // Compare's readings, where they are others than at first
  opened.delete("tab");
  opened.delete("compare");
  if (opened.has("tried")) lab.loadTried(opened.get("tried"));
  opened.delete("tried");
  let typed = opened.toString(); // what the address says of the boxes
  let viewOpened = false;
  let keeping = 0; // the timer, while something is to be written
  let step = 0; // the newest of the texts' steps (texts.js)
  let address = location.hash; // as it was written here last

  const plain = (said) => new URLSearchParams(said).toString();

  // "z=…": the same fields with only what must be escaped, deflated, in base64url.
  async function pack(said) {
    const bare = ([name, value]) => name + "=" + String(value).replace(/[%&+]/g, encodeURIComponent);
    const text = new Blob([Object.entries(said).map(bare).join("&")]);
    const packing = text.stream().pipeThrough(new CompressionStream("deflate-raw"));
    const bytes = new Uint8Array(await new Response(packing).arrayBuffer());
    const letters = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
    return "z=" + letters.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  }

  // The shorter of the two; a browser that cannot pack keeps the plain one.
  async function shorten(said) {
    const long = plain(said);
    const short = await pack(said).catch(() => long);
    return short.length < long.length ? short : long;
  }

  // What stands in the boxes when the page opens, and every other version of it.
  lab.openLink = (form) => (openedWith = saidNow = { ...form });
  lab.keepLink = (form) => {
    if (plain(form) === plain(saidNow)) return;
    saidNow = { ...form };
    clearTimeout(keeping);
    keeping = setTimeout(keep, KEEP_MS);
  };
  async function keep() {
    keeping = 0;
    const said = saidNow;
    const link = plain(said);
    let kept = link.length > LONGEST_PLAIN ? await shorten(said) : link;
    if (kept.length > LONGEST) kept = plain(without(said, TEXTS)); // texts.js keeps them over a reload
    if (said !== saidNow) return; // typed on meanwhile
    typed = link === plain(openedWith) ? "" : kept;
    writeLink();
  }

  // A link for somebody else: everything that stands here now, whatever their page opens with. address: where the
  // page is to be found; texts: whether they go along. "" where it is too long for any link.
  const TEXTS = ["questions", "answers", "matches"];
  const SAME = ["task", "template"]; // what every host opens with goes without saying
  lab.createLink = async (address, texts) => {
    const same = SAME.filter((name) => saidNow[name] === openedWith[name]);
    const said = without(saidNow, [...same, ...(texts ? [] : TEXTS)]);
    const lang = new URLSearchParams(location.search).get("lang");
    const stands = withView(await shorten(said));
    const tried = texts && lab.dumpTried();
    const whole = tried ? stands + "&" + plain({ tried }) : stands;
    const link = whole.length > LONGEST ? stands : whole;
    if (link.length > LONGEST) return "";
    return address.replace(/[?#].*$/s, "") + (lang ? "?" + plain({ lang }) : "") + "#" + link;
  };

  const withView = (link) =>
    [link, slots && plain({ compare: slots }), view && plain({ tab: view })].filter(Boolean).join("&");
  lab.linkedSlots = () => slots;
  lab.keepSlots = (now) => {
    slots = now;
    writeLink();
  };
  const without = (said, names) => Object.fromEntries(Object.entries(said).filter(([name]) => !names.includes(name)));
  // again: as a page of its own, to which Back comes.
  function writeLink(again = false) {
    const kept = withView(typed);
    const hash = kept && "#" + kept;
    const [state, now] = [{ view, step }, history.state];
    address = hash;
    if (!again && hash === location.hash && now?.view === view && now?.step === step) return;
    history[again ? "pushState" : "replaceState"](state, "", location.pathname + location.search + hash);
  }
  lab.address = () => address;

  lab.keepView = (name) => {
    if (!viewOpened) return;
    document.querySelector(`#view-${name}-button`).scrollIntoView({ block: "nearest", inline: "nearest" });
    const next = name === "heatmap" ? "" : name;
    const other = next !== view;
    view = next;
    writeLink(other);
  };
  const openView = (name) => document.querySelector(`#view-${name || "heatmap"}-button`)?.click();
  lab.markStep = (id, again) => {
    step = id;
    writeLink(again);
  };
  window.addEventListener("popstate", ({ state }) => {
    if (!state) return; // an anchor, or another link
    if (state.view !== view) openView((view = state.view));
    lab.goToStep(state.step);
    step = state.step;
    writeLink();
  });
  document.addEventListener("lab:open", () => {
    viewOpened = true;
    const button = [...document.querySelectorAll("#views [role=tab]")].find((tab) => tab.id === `view-${view}-button`);
    if (button) return button.click();
    view = "";
    writeLink();
  });

  // Another link in the same tab; an anchor of the page is none.
  window.addEventListener("hashchange", () => {
    if (history.state || !location.hash.includes("=")) return;
    address = null; // what stands in the boxes is not that of this address
    location.reload();
  });

  document.addEventListener("click", (event) => {
    const language = event.target.closest("#status a");
    if (!language) return;
    const now = withView(plain(saidNow)); // with what was typed last, and the address does not have yet
    language.hash = keeping && now.length <= LONGEST ? now : location.hash;
  });
})();
