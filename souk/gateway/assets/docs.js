"use strict";
const filter = document.getElementById("filter");
const matches = document.getElementById("matches");
const nodes = [...document.querySelectorAll("main section:not(#try-caller) details, main tr[id]")];
const found = nodes.map((node) => [node, node.textContent.toLowerCase()]);
const sections = [...document.querySelectorAll("main section:not(#try-caller)")];
const apply = () => {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const [node, text] of found) node.hidden = !words.every((word) => text.includes(word));
  for (const section of sections) section.hidden = !found.some(([node]) => !node.hidden && section.contains(node));
  const shown = nodes.filter((node) => !node.hidden).length;
  matches.textContent = words.length ? (shown ? `${shown} of ${nodes.length} match` : "Nothing matches") : "";
};
filter.addEventListener("input", apply);
// A link leads to its target whatever the filter hides.
const reveal = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  if (target.closest("[hidden]")) {
    filter.value = "";
    apply();
  }
  if (target.tagName === "DETAILS") target.open = true;
  target.scrollIntoView();
};
addEventListener("hashchange", reveal);
apply(); // a browser that goes back to the page fills the filter in again
reveal();
