// Rate limits: a request that the server refuses with 429 waits for Retry-After and is sent again, while a line says so.
// Every request names this page in a header: the server counts the pages behind one address apart.

window.lab = { page: Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("") };
try {
  // The same after a reload, so that it finds the job that is under way.
  lab.page = sessionStorage.getItem("lab.page") || lab.page;
  sessionStorage.setItem("lab.page", lab.page);
} catch {
  // a browser that keeps nothing
}

(() => {
  const fetchNow = window.fetch.bind(window);
  const LONGEST = 60; // seconds
  const TRIES = 5;
  let waiting = 0;

  function showLine(sentence) {
    let line = document.querySelector("#wait-line");
    if (!line) {
      line = document.createElement("p");
      line.id = "wait-line";
      line.setAttribute("role", "status");
      document.body.append(line);
    }
    line.textContent = sentence;
    line.hidden = !sentence;
  }

  // send(fetch): called for each try, so that it can send what is newest by then. Resolves to the last try's response.
  lab.retry = async (send) => {
    let response = await send(fetchNow);
    for (let tries = 1; response.status === 429 && tries < TRIES; tries++) {
      const seconds = Math.min(LONGEST, Number(response.headers.get("Retry-After")) || 1);
      const refusal = await response.clone().json().catch(() => ({}));
      waiting++;
      showLine(refusal.error || "");
      // Not all at the same moment, or they meet again.
      await new Promise((go) => setTimeout(go, 1000 * seconds * (1 + Math.random() / 2)));
      waiting--;
      response = await send(fetchNow);
      if (!waiting && response.status !== 429) showLine("");
    }
    return response;
  };

  // Gradio's own requests. A body can be read once: each try gets a copy.
  window.fetch = (input, init) => {
    const request = new Request(input, init);
    if (new URL(request.url).origin === location.origin) request.headers.set("X-Page-Id", lab.page);
    return lab.retry((fetch) => fetch(request.clone()));
  };
})();
