// Linked Nodes: what makes the pages live. Every page is complete without it.
"use strict";
document.documentElement.classList.add("live");

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => Array.from(root.querySelectorAll(selector));

// Search as you type: the same page is fetched, and its results put in place.
function liveSearch(form) {
  const target = form.dataset.live;
  let timer, running;
  const go = async () => {
    if (running) running.abort();
    running = new AbortController();
    const address = "index.cgi?" + new URLSearchParams(Array.from(new FormData(form)).filter(([, value]) => value)).toString();
    $(target).setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(address, { signal: running.signal, credentials: "same-origin" });
      if (!answer.ok) throw new Error(String(answer.status));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = $(target, page);
      if (!fresh) throw new Error("no results");
      $(target).replaceWith(fresh);
      $("h1").replaceChildren(...$("h1", page).childNodes);
      history.replaceState(null, "", address);
      selection();
    } catch (error) {
      if (error.name !== "AbortError") form.submit();
    }
  };
  form.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(go, 180); });
  form.addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(timer); go(); });
}

// Select all, and how many are selected.
function selection() {
  for (const all of $$("[data-all]")) {
    const form = all.closest("form");
    const boxes = () => $$(`input[type=checkbox][name=${all.dataset.all}]`, form);
    const count = () => {
      const chosen = boxes().filter((box) => box.checked).length;
      all.checked = chosen > 0 && chosen === boxes().length;
      all.indeterminate = chosen > 0 && chosen < boxes().length;
      const said = $("[data-selected]", form);
      if (said) said.textContent = chosen ? `${chosen} selected` : "";
    };
    all.addEventListener("change", () => { for (const box of boxes()) box.checked = all.checked; count(); });
    form.addEventListener("change", (event) => { if (event.target !== all) count(); });
    count();
  }
}

// A page whose parts come later or change: fetched again, and the parts that are marked put in place.
function refreshed(body) {
  const seconds = Number(body.dataset.refresh);
  if (!seconds) return;
  setTimeout(async () => {
    try {
      const answer = await fetch(location.href, { credentials: "same-origin" });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of $$("[data-part]")) {
        const fresh = $(`[data-part="${part.dataset.part}"]`, page);
        if (fresh && fresh.innerHTML !== part.innerHTML && !part.contains(document.activeElement)) part.replaceChildren(...fresh.childNodes);
      }
      body.dataset.refresh = page.body.dataset.refresh || "";
    } catch { /* the next one may come through */ }
    refreshed(body);
  }, seconds * 1000);
}

// Progress: events while they come through, else the page's parts again and again.
function progress(root) {
  const fields = (box) => Object.fromEntries($$("[data-field]", box).map((field) => [field.dataset.field, field]));
  const write = (field, text) => { if (field && field.textContent !== text) field.textContent = text; };
  const show = (box, view) => {
    const at = fields(box);
    write(at.percent, view.percent);
    write(at.amount, view.amount);
    write(at.step, view.step);
    write(at.mailbox, view.mailbox);
    write(at.rate, view.rate);
    write(at.left, view.left);
    write(at.reason, view.reason);
    if (at.reason) at.reason.hidden = !view.reason;
    write(at.state, view.state);
    const bar = $("progress", box);
    if (bar) bar.value = view.done;
    for (const phase of $$("[data-phase]", box)) {
      phase.classList.toggle("past", view.past.includes(phase.dataset.phase));
      if (phase.dataset.phase === view.phase) phase.setAttribute("aria-current", "step");
      else phase.removeAttribute("aria-current");
    }
  };
  let ended = false;
  const take = (views) => {
    const here = new Set(views.map((view) => String(view.id)));
    for (const view of views) {
      const box = $(`[data-move="${view.id}"]`);
      if (box) show(box, view);
      if (view.ended || !box) ended = true;
    }
    for (const box of $$("[data-move]")) if (!here.has(box.dataset.move)) ended = true;
    // What has ended, or begun, looks different as a whole.
    if (ended) location.reload();
  };
  const ask = async () => {
    if (ended) return;
    try {
      const answer = await fetch(root.dataset.progress, { credentials: "same-origin" });
      if (answer.ok) take(await answer.json());
    } catch { /* the next one may come through */ }
    setTimeout(ask, 2000);
  };
  let heard = false;
  const events = new EventSource(root.dataset.events);
  events.addEventListener("moves", (event) => { heard = true; take(JSON.parse(event.data)); });
  let failures = 0;
  events.onopen = () => { failures = 0; };
  events.onerror = () => {
    failures += 1;
    if (events.readyState === EventSource.CLOSED || failures > 2 || !heard) { events.close(); ask(); }
  };
  setTimeout(() => { if (!heard) { events.close(); ask(); } }, 6000);
  addEventListener("pagehide", () => events.close());
}

// A change that takes its time is sent once.
function once(form) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "1";
    const button = event.submitter;
    if (button && button.dataset.busy) { button.setAttribute("aria-disabled", "true"); button.textContent = button.dataset.busy; }
  });
}
// A page that the browser kept can be sent again.
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

for (const form of $$("form[data-live]")) liveSearch(form);
for (const form of $$("form[method=post]")) once(form);
selection();
refreshed(document.body);
for (const root of $$("[data-events]")) progress(root);
