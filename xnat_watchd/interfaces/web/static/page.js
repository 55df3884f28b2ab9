// Looks again every few seconds while somebody sees the page, and says so when no answer comes any more.
"use strict";

const EVERY = 5000, STALE = 20000; // milliseconds
const ACTIVE = "main a, main button, main summary"; // what may have the focus and keeps it
const SHOWN = [200, 401, 403, 503]; // what says how it is, or why this is not shown any more
let tag = null, heard = Date.now(), waits = false; // waits: what has come is not shown, since somebody types

function busy() { // nobody's words are taken away, and no half-made choice either
  const fields = document.querySelectorAll("main input:not([type=hidden])");
  const typed = [...fields].some((field) => field.value !== field.defaultValue);
  return typed || document.querySelector("main select:focus, main input:focus") !== null;
}

function show(text) {
  const page = new DOMParser().parseFromString(text, "text/html");
  const main = page.querySelector("main"), focused = document.activeElement;
  if (main === null) return false; // of a proxy, or whatever else stands in between
  const index = [...document.querySelectorAll(ACTIVE)].indexOf(focused);
  const text_of = focused === null ? "" : focused.textContent;
  const unfolded = [...document.querySelectorAll("main details")].map((one) => one.open);
  document.querySelector("main").replaceWith(document.adoptNode(main));
  document.querySelectorAll("main details").forEach((one, at) => { one.open = unfolded[at] === true; });
  document.title = page.title;
  document.body.className = page.body.className;
  const again = [...document.querySelectorAll(ACTIVE)][index];
  if (again !== undefined && again.textContent === text_of) again.focus({ preventScroll: true });
  return true;
}

function note_age() {
  const banner = document.getElementById("stale"), old = Date.now() - heard > STALE;
  const why = waits ? "This is not renewed while something is typed here." : "The page gets no answer any more.";
  if (old) banner.querySelector("b").textContent = why;
  if (old && banner.hidden) banner.querySelector("span").textContent = new Date(heard).toLocaleTimeString();
  banner.hidden = !old;
}

async function look() {
  if (document.hidden) return note_age();
  try {
    const headers = tag === null ? {} : { "If-None-Match": tag };
    const answer = await fetch(location.href, { headers, cache: "no-store", redirect: "error", signal: AbortSignal.timeout(10000) });
    waits = false;
    if (SHOWN.includes(answer.status)) {
      const text = await answer.text();
      waits = busy();
      if (!waits && show(text)) {
        tag = answer.headers.get("ETag");
        heard = Date.now();
      }
    }
    if (answer.status === 304) {
      heard = Date.now();
      const time = document.getElementById("as-of");
      if (time !== null) time.textContent = new Date().toLocaleString("sv");
    }
  } catch {
    waits = false;
  }
  note_age();
}

setInterval(look, EVERY);
document.addEventListener("visibilitychange", look);
