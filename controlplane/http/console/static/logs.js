// A log as it is written at its runtime: follow, pause, search in what is shown, wrap, copy. Pausing hangs up, so nothing
// is sent that nobody reads; going on continues from the byte behind the last line.
const MOST = 5000;
const GAPS = { absent: "not written yet", rotated: "another file took its place", truncated: "it was made shorter" };
const tail = document.querySelector("[data-tail]");
const part = name => document.getElementById(`log-${name}`);

if (tail) {
  const lines = part("lines"), find = part("find");
  let stream = null, next = null;

  const say = text => { part("state").textContent = text; };
  const matches = line => line.textContent.toLowerCase().includes(find.value.toLowerCase());

  function add(texts, kind) {
    const atEnd = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 40;
    const fresh = texts.map(text => Object.assign(document.createElement("p"), { textContent: text, className: kind }));
    for (const line of fresh) line.hidden = find.value !== "" && !matches(line);
    lines.append(...fresh);
    while (lines.childElementCount > MOST) lines.firstElementChild.remove();
    if (atEnd) lines.scrollTop = lines.scrollHeight;
    if (find.value) count();
  }

  function stop(why) {
    stream?.close();
    stream = null;
    say(why);
    part("pause").setAttribute("aria-pressed", "true");
    part("pause").firstChild.textContent = "Go on ";
  }

  async function explain(address) {
    const answer = await fetch(address, { headers: { accept: "text/event-stream" } }).catch(() => null);
    if (!answer || answer.ok) answer?.body.cancel();
    else {
      const problem = await answer.json();
      add([`${problem.title}. ${problem.hint ?? ""}`], "log-note");
    }
    stop("Not looking");
  }

  function look() {
    const address = next === null ? tail.dataset.tail : `${tail.dataset.tail}&offset=${next}`;
    part("pause").setAttribute("aria-pressed", "false");
    part("pause").firstChild.textContent = "Pause ";
    say("Asking the runtime");
    stream = new EventSource(address);
    stream.onopen = () => say("Looking");
    stream.onerror = () => { if (stream?.readyState === EventSource.CLOSED) explain(address); else say("Not live: reconnecting"); };
    stream.addEventListener("lines", event => {
      const told = JSON.parse(event.data);
      next = told.next;
      add(told.lines, "");
    });
    stream.addEventListener("gap", event => add([`— ${GAPS[JSON.parse(event.data).kind]} —`], "log-note"));
    stream.addEventListener("ended", event => {
      add([`— ${JSON.parse(event.data).hint} —`], "log-note");
      stop("Ended");
    });
  }

  function count() {
    const all = [...lines.children];
    for (const line of all) line.hidden = find.value !== "" && !matches(line);
    part("found").textContent = find.value ? `${all.filter(line => !line.hidden).length} of ${all.length} lines` : "";
  }

  const toggle = () => (stream ? stop("Paused") : look());
  const wrap = () => part("wrap").setAttribute("aria-pressed", String(!lines.classList.toggle("log-long")));

  part("pause").addEventListener("click", toggle);
  part("wrap").addEventListener("click", wrap);
  part("copy").addEventListener("click", () => navigator.clipboard?.writeText([...lines.children].filter(line => !line.hidden).map(line => line.textContent).join("\n")));
  find.addEventListener("input", count);
  document.addEventListener("keydown", event => {
    if (event.target.matches("input, textarea, select") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "p") toggle();
    if (event.key === "w") wrap();
  });
  addEventListener("pagehide", () => stream?.close());
  document.querySelector(".log-acts").hidden = false;
  look();
}
