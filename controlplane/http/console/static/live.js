// The page is right without this. An SSE "patch" event carries HTML, and each of its top-level elements replaces the
// element with the same id; whoever was inside one of them with the keyboard stays there.
const asIs = { createHTML: html => html };
const policy = globalThis.trustedTypes?.createPolicy("console", asIs) ?? asIs;

function patch(html) {
  const template = document.createElement("template");
  template.innerHTML = policy.createHTML(html);
  for (const element of [...template.content.children]) {
    const held = document.getElementById(element.id);
    const href = held?.contains(document.activeElement) && document.activeElement.getAttribute("href");
    for (const open of held?.querySelectorAll("details[open]") ?? []) element.querySelector("details")?.setAttribute("open", "");
    held?.replaceWith(element);
    element.dispatchEvent(new Event("patched", { bubbles: true }));
    if (href) element.querySelector(`[href="${CSS.escape(href)}"]`)?.focus();
  }
}

for (const page of document.querySelectorAll("[data-stream]")) {
  const state = document.getElementById("live");
  const stream = new EventSource(page.dataset.stream);
  stream.onopen = () => { state.textContent = "Live"; };
  stream.onerror = () => { state.textContent = "Not live: reconnecting"; };
  stream.addEventListener("patch", event => patch(event.data));
  addEventListener("pagehide", () => stream.close());
}
