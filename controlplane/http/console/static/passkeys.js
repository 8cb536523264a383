// Passkeys: the browser's own dialog, asked with what the server says, and its answer sent back. Forms work without.

async function post(path, body) {
  const answer = await fetch(path, {
    method: "POST",
    headers: body ? { "content-type": "application/json" } : {},
    body: body && JSON.stringify(body),
  });
  const said = answer.status === 204 ? null : await answer.json();
  if (answer.ok) return said;
  if (said.code === "reauthentication-required") {
    location.assign(`/console/confirm?next=${encodeURIComponent(location.pathname)}`);
    await new Promise(() => {}); // the page is on its way out
  }
  throw new Error(`${said.title}. ${said.hint}`);
}

const ASK = {
  "sign-in": ["/v1/auth/passkey/options", "/v1/auth/passkey"],
  confirm: ["/v1/me/reauthentication/passkey/options", "/v1/me/reauthentication/passkey"],
};

async function prove(kind, then) {
  const [options, answer] = ASK[kind];
  const { ticket, public_key } = await post(options);
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(public_key);
  const credential = await navigator.credentials.get({ publicKey });
  await post(answer, { ticket, credential: credential.toJSON() });
  location.assign(then);
}

async function add(name) {
  const { ticket, public_key } = await post("/v1/me/passkeys/options");
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(public_key);
  const credential = await navigator.credentials.create({ publicKey });
  await post("/v1/me/passkeys", { ticket, credential: credential.toJSON(), name: name || "Passkey" });
  location.reload();
}

for (const place of document.querySelectorAll("[data-passkey]")) {
  if (!globalThis.PublicKeyCredential?.parseRequestOptionsFromJSON) break;
  place.hidden = false;
  const button = place.querySelector("button");
  const problem = place.querySelector(".problem");
  button.addEventListener("click", async () => {
    problem.hidden = true;
    button.disabled = true;
    try {
      if (place.dataset.passkey === "add") await add(place.querySelector("input").value.trim());
      else await prove(place.dataset.passkey, place.dataset.then);
    } catch (error) {
      problem.textContent = error.name === "NotAllowedError" ? "The browser gave no passkey." : error.message;
      problem.hidden = false;
    }
    button.disabled = false;
  });
}
