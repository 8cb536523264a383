// Comfort on top of pages that work without it: local times, ids that copy, and keys. What is live is in live.js.

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const FORMS = {
  day: { month: "short", day: "numeric" },
  hour: { hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
};
const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
let utc = localStorage.getItem("times") === "utc";

const pad = number => String(number).padStart(2, "0");
const inUtc = date => date.toISOString().slice(0, 19).replace("T", " ");
const local = date => `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} ${date.toLocaleTimeString("en-GB")}`;

function ago(date) {
  const seconds = (Date.now() - date) / 1000;
  const [unit, length] = UNITS.find(([, length]) => seconds >= length) ?? [];
  return unit ? `${Math.floor(seconds / length)} ${unit} ago` : "just now";
}

function times(root) {
  for (const element of root.querySelectorAll("time")) {
    const date = new Date(element.dateTime);
    const exact = utc ? `${inUtc(date)} UTC` : local(date);
    element.dataset.utc = `${inUtc(date)} UTC`;
    element.title = "ago" in element.dataset ? `${local(date)} = ${inUtc(date)} UTC` : `${inUtc(date)} UTC`;
    element.textContent = "ago" in element.dataset ? ago(date) : exact;
  }
  for (const element of root.querySelectorAll("[data-time]")) {
    const form = { ...FORMS[element.dataset.form], ...(utc && { timeZone: "UTC" }) };
    element.textContent = new Intl.DateTimeFormat("en", form).format(new Date(element.dataset.time));
  }
}

function sayZone() {
  document.getElementById("zone").textContent = utc ? "Times are UTC." : `Times are local (${zone}).`;
  document.getElementById("utc").textContent = utc ? "Show local times" : "Show UTC";
}

function dress(root) {
  times(root);
  for (const button of root.querySelectorAll("[data-copy]")) button.hidden = !navigator.clipboard; // https or loopback only
}

document.addEventListener("click", async event => {
  const button = event.target.closest("[data-copy]");
  if (button) {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.classList.add("done");
    document.getElementById("live").textContent = "Copied";
    setTimeout(() => button.classList.remove("done"), 1500);
  }
  if (event.target.closest("#utc")) {
    utc = !utc;
    localStorage.setItem("times", utc ? "utc" : "local");
    sayZone();
    times(document);
  }
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});

let waitingForGo = -Infinity;
document.addEventListener("keydown", event => {
  const menu = event.key === "Escape" && document.querySelector("details.menu[open]");
  if (menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
  if (event.key === "/") {
    event.preventDefault();
    document.getElementById("search")?.focus();
  } else if (event.key === "g") {
    waitingForGo = event.timeStamp;
  } else if (event.timeStamp - waitingForGo < 1500) {
    document.querySelector(`nav.main [data-key="${CSS.escape(event.key)}"]`)?.click();
  }
});

// What was written at length survives the way over a fresh proof, in this tab alone.
document.addEventListener("submit", ({ target: form }) => {
  if (form.querySelector("textarea")) sessionStorage.setItem("written", JSON.stringify([form.action, [...new FormData(form)]]));
});

function restoreWritten() {
  const [action, fields] = JSON.parse(sessionStorage.getItem("written")) ?? ["", []];
  const form = [...document.forms].find(each => each.action === action);
  for (const [name, value] of form ? fields : []) if (form.elements[name]) form.elements[name].value = value;
}

if (location.hash === "#undone") {
  restoreWritten();
  const said = document.createElement("p");
  said.className = "done";
  said.setAttribute("role", "status");
  said.textContent = "It is you. What you wanted is not done yet: press the button once more.";
  document.getElementById("main").prepend(said);
  history.replaceState(null, "", location.pathname + location.search);
}

sessionStorage.removeItem("written");
dress(document);
sayZone();
document.getElementById("utc").hidden = false;
document.querySelector(".keys")?.removeAttribute("hidden");
setInterval(() => times(document), 15000);
document.addEventListener("patched", event => dress(event.target));
