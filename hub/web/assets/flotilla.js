// What a page does beyond links and forms: it follows changes, acts without a reload, takes keys.
// Everything works without this file.
import { Idiomorph } from "./idiomorph.js";

const main = () => document.querySelector("main");
const status = () => document.getElementById("freshness");
const flash = () => document.getElementById("flash");

function say(text) {
  const place = flash();
  if (place) {
    place.textContent = text;
    place.hidden = text === "";
  }
}

/** Puts a page's new content in the place of the old, keeping focus, selection and what is typed. */
function morph(html) {
  const next = new DOMParser().parseFromString(html, "text/html");
  const from = next.querySelector("main");
  if (!from || !main()) return;
  Idiomorph.morph(main(), from, { morphStyle: "outerHTML", ignoreActiveValue: true, restoreFocus: true,
    callbacks: {
      // What a reader opened stays open, and what is typed stays.
      beforeAttributeUpdated: (name, node) => !(name === "open" && node.tagName === "DETAILS"),
    } });
  const fresh = next.getElementById("freshness");
  if (fresh && status()) {
    status().textContent = fresh.textContent;
    status().className = fresh.className;
  }
}

let stream = null;
let retry = 1000;

function follow() {
  if (stream) stream.close();
  const here = location.pathname + location.search;
  stream = new EventSource("/events?page=" + encodeURIComponent(here));
  stream.addEventListener("page", (event) => { retry = 1000; morph(event.data); });
  stream.addEventListener("gone", () => { stream.close(); location.reload(); });
  stream.onerror = () => {
    if (status()) { status().textContent = "not connected"; status().className = "stale"; }
    if (stream.readyState === EventSource.CLOSED) {
      setTimeout(follow, retry * (0.5 + Math.random()));
      retry = Math.min(retry * 2, 30000);
    }
  };
}

async function act(form, button) {
  if (form.dataset.sent) return;
  form.dataset.sent = "1";
  const fields = new URLSearchParams(new FormData(form, button));
  try {
    // Not form.action: a field of that name stands before it.
    const answer = await fetch(form.getAttribute("action"), { method: "POST", body: fields, redirect: "follow", credentials: "same-origin" });
    const text = await answer.text();
    if (!(answer.headers.get("content-type") || "").startsWith("text/html")) {
      say(answer.ok ? "done" : "not done: " + text.trim().slice(0, 500));
      return;
    }
    const told = new DOMParser().parseFromString(text, "text/html").getElementById("flash")?.textContent.trim();
    say(told || (answer.ok ? "done" : "not done"));
    if (answer.ok) morph(text);
  } catch (error) {
    say("the page's server was not reached; nothing is known of what you sent");
  } finally {
    delete form.dataset.sent;
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.getAttribute("method") !== "post" || form.dataset.plain !== undefined) return;
  event.preventDefault();
  act(form, event.submitter);
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  navigator.clipboard.writeText(button.dataset.copy).then(() => say("copied: " + button.dataset.copy), () => {});
});

// Keys: / filter, j k rows, Enter opens, g e|c|r|a goes, ? help.
let waiting = "";
const rows = () => [...document.querySelectorAll("[data-row] a[href]")];
function step(by) {
  const all = rows();
  if (!all.length) return;
  const at = all.indexOf(document.activeElement);
  const next = at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + by, 0), all.length - 1);
  all[next].focus();
}
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
  if (event.key === "Escape") { event.target.blur(); document.getElementById("help")?.close(); return; }
  if (typing) return;
  if (waiting === "g") {
    waiting = "";
    const to = { e: "/", c: "/clusters", r: "/rollouts", a: "/audit" }[event.key];
    if (to) { event.preventDefault(); location.assign(to); }
    return;
  }
  switch (event.key) {
    case "g": waiting = "g"; setTimeout(() => { waiting = ""; }, 1500); break;
    case "/": {
      const field = document.querySelector("input[type=search]");
      if (field) { event.preventDefault(); field.focus(); }
      break;
    }
    case "j": event.preventDefault(); step(1); break;
    case "k": event.preventDefault(); step(-1); break;
    case "?": document.getElementById("help")?.showModal(); break;
    default: break;
  }
});

document.addEventListener("visibilitychange", () => {
  // A page that nobody sees follows nothing.
  if (document.hidden) { stream?.close(); stream = null; } else if (!stream) { follow(); }
});

document.documentElement.classList.add("js");
follow();
