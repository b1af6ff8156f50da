// What pages do beyond htmx: say when the gateway cannot be reached, and do not ask while nobody looks.
"use strict";
(() => {
  // On a narrow screen the navigation scrolls: the page that is shown is seen there.
  const current = document.querySelector("nav [aria-current]");
  if (current) current.scrollIntoView({ block: "nearest", inline: "center" });
  const offline = document.getElementById("offline");
  const reached = (yes) => { if (offline) offline.hidden = yes; };
  document.addEventListener("htmx:error", () => reached(false));
  document.addEventListener("htmx:after:request", () => reached(true));
  document.addEventListener("htmx:config:request", (event) => {
    // A hidden page does not ask; an open menu or a text that is being written is not replaced.
    const at = document.activeElement;
    const live = event.target.closest && event.target.closest("#live");
    const busy = live && at && live.contains(at) && /^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName);
    // While a stream says when something has changed, nothing is asked for now and then.
    const told = live && streaming && !event.detail.ctx.told;
    if (document.hidden || busy || told) event.preventDefault();
  });

  let stream = null, streaming = false;
  const follow = () => {
    const live = document.querySelector("#live[hx-get]");
    if (stream || !live || document.hidden || !window.EventSource) return;
    const path = live.getAttribute("hx-get");
    stream = new EventSource(path);
    const fetched = () => htmx.ajax("GET", path, { source: live, target: live, select: "#live", swap: "outerMorph", told: true });
    stream.addEventListener("open", () => { streaming = true; });
    stream.addEventListener("changed", fetched);
    stream.addEventListener("beat", fetched);
    stream.addEventListener("error", () => {
      streaming = false; // until it is open again the page asks now and then
      if (stream.readyState === EventSource.CLOSED) { stream = null; setTimeout(follow, 60000); }
    });
  };
  document.addEventListener("DOMContentLoaded", follow);
  // A browser has few connections to a host, and a page that nobody sees needs none.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden && stream) { stream.close(); stream = null; streaming = false; }
    follow();
  });
  document.addEventListener("change", (event) => {
    const all = event.target.closest("[data-all]");
    if (all) for (const one of document.querySelectorAll(`input[name="${all.dataset.all}"]`)) one.checked = all.checked;
  });
})();
