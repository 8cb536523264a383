// The page is right without this. An SSE "patch" event carries HTML, and each of its top-level elements replaces the
// element with the same id; whoever was inside one of them with the keyboard stays there, and what was opened or typed
// stays as it was.
const asIs = { createHTML: html => html };
const policy = globalThis.trustedTypes?.createPolicy("console", asIs) ?? asIs;

const TYPED = "textarea[id], input[id]:not([type=hidden], [type=checkbox], [type=radio])";

function patch(html) {
  const template = document.createElement("template");
  template.innerHTML = policy.createHTML(html);
  for (const element of [...template.content.children]) {
    const held = document.getElementById(element.id);
    const { id, href } = held?.contains(document.activeElement) ? document.activeElement.attributes : {};
    const open = new Set([...held?.querySelectorAll("details[open] > summary") ?? []].map(each => each.textContent));
    for (const each of element.querySelectorAll("details > summary")) if (open.has(each.textContent)) each.parentElement.open = true;
    for (const { id, value } of held?.querySelectorAll(TYPED) ?? []) {
      const field = element.querySelector(`#${CSS.escape(id)}`);
      if (field) field.value = value;
    }
    held?.replaceWith(element);
    element.dispatchEvent(new Event("patched", { bubbles: true }));
    for (const { name, value } of [id, href].filter(Boolean)) element.querySelector(`[${name}="${CSS.escape(value)}"]`)?.focus();
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
