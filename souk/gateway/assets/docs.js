"use strict";
const filter = document.getElementById("filter");
const nodes = [...document.querySelectorAll("main details, main tr[id]")];
const found = nodes.map((node) => [node, node.textContent.toLowerCase()]);
const sections = [...document.querySelectorAll("main section")];
filter.addEventListener("input", () => {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const [node, text] of found) node.hidden = !words.every((word) => text.includes(word));
  for (const section of sections) section.hidden = !found.some(([node]) => !node.hidden && section.contains(node));
});
const reveal = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target && target.tagName === "DETAILS") target.open = true;
};
addEventListener("hashchange", reveal);
reveal();
