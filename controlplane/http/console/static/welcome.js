// The secret stands in the address after #, which no browser sends to a server: move it into the form, and forget it.
const secret = location.hash.slice(1);
if (secret) {
  document.getElementById("token").value = secret;
  document.getElementById("token-field").hidden = true;
  document.getElementById("token-read").hidden = false;
  history.replaceState(null, "", location.pathname);
}
