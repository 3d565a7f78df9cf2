// A server that many people ask says when to come back. What was asked waits that long and is asked again by itself;
// meanwhile a line says so, and whatever stands in the boxes stays.

(() => {
  const fetchNow = window.fetch.bind(window);
  const LONGEST = 60; // seconds
  const TRIES = 5;
  let waiting = 0;

  function say(sentence) {
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

  window.fetch = async (input, init) => {
    // A Request's body can be read once: each try gets a copy.
    const again = () => (input instanceof Request ? fetchNow(input.clone(), init) : fetchNow(input, init));
    let response = await again();
    for (let tries = 1; response.status === 429 && tries < TRIES; tries++) {
      const seconds = Math.min(LONGEST, Number(response.headers.get("Retry-After")) || 1);
      const told = await response.clone().json().catch(() => ({}));
      waiting++;
      say(told.error || "");
      // Not all at the same moment, or they meet again.
      await new Promise((go) => setTimeout(go, 1000 * seconds * (1 + Math.random() / 2)));
      waiting--;
      response = await again();
      if (!waiting && response.status !== 429) say("");
    }
    return response;
  };
})();
