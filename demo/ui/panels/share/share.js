// Sharing: the dialog with a link to what stands on the page (link.js writes it) and its QR code, which Python draws.
// Also the line that says what a link could not bring. Keeps nothing.
//
// props.value: {words?, notice?, hosts?, alone?, ask?, code?, refused?}; what is not said stays as it was. hosts: under
// which addresses others reach this machine, where the page is looked at on the machine itself.

const $ = (name) => element.querySelector(".share-" + name);
const [dialog, notice, open, code] = "dialog notice open code".split(" ").map($);
const [address, link, short, hosts] = ["address input", "link textarea", "short input", "hosts select"].map($);
const own = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
let words = {};
let reach = { hosts: [], alone: false };
let ask = 0; // counts the links whose QR code was wanted
let asking = 0;

function onValue() {
  const said = props.value || {};
  if (said.words) speak(said);
  if (said.code === undefined || said.ask !== ask) return;
  code.innerHTML = said.code; // made by Python from the link's modules; no text of anybody stands in it
  if (said.refused) code.textContent = said.refused;
  code.classList.toggle("share-refused", Boolean(said.refused));
  code.setAttribute("role", said.refused ? "status" : "img");
}

function speak(said) {
  words = said.words;
  reach = { hosts: own ? said.hosts : [], alone: own && said.alone };
  open.hidden = false;
  const texts = { open: "open", close: "close", says: "says", copy: "copy" };
  for (const [place, name] of Object.entries(texts)) $(place).textContent = words[name];
  element.querySelector("h2").textContent = words.title;
  for (const place of ["hosts", "address", "link", "short"]) $(place).querySelector("span").textContent = words[place];
  code.setAttribute("aria-label", words.code);
  notice.hidden = !said.notice;
  notice.querySelector("span").textContent = said.notice;
  notice.querySelector("button").textContent = words.close;
}

// Where others find this page. On the machine that serves it, "127.0.0.1" would lead them to their own.
const at = (host) => location.origin.replace(location.hostname, host) + location.pathname;

lab.openShare = () => {
  const places = reach.hosts.map(at);
  hosts.replaceChildren(...places.map((place) => new Option(new URL(place).hostname, place)));
  $("hosts").hidden = places.length < 2;
  if (!address.value) address.value = places[0] || at(location.hostname);
  hosts.value = address.value; // none of them where another address was written
  $("reach").textContent = reach.alone ? words.alone : own ? (places.length ? words.network : words.unknown) : "";
  dialog.showModal();
  write();
};

async function write() {
  $("copying").querySelector("span").textContent = "";
  const written = await lab.createLink(address.value.trim(), !short.checked);
  link.value = written;
  ask += 1;
  clearTimeout(asking);
  asking = setTimeout(() => trigger("code", { link: written, ask }), 200);
}

// The browser's own way is closed on pages that came by plain http from another machine.
async function copy() {
  link.select();
  const done = await (navigator.clipboard?.writeText(link.value) ?? Promise.reject())
    .then(() => true)
    .catch(() => document.execCommand("copy"));
  $("copying").querySelector("span").textContent = done ? words.copied : words.not_copied;
}

open.addEventListener("click", lab.openShare);
$("close").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
$("copy").addEventListener("click", copy);
link.addEventListener("focus", () => link.select());
short.addEventListener("change", write);
address.addEventListener("input", write);
hosts.addEventListener("change", () => {
  address.value = hosts.value;
  write();
});
notice.querySelector("button").addEventListener("click", () => (notice.hidden = true));
watch("value", onValue);
onValue();
