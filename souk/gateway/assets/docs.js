"use strict";
const filter = document.getElementById("filter");
const operations = [...document.querySelectorAll("details.operation")].map((node) => [node, node.textContent.toLowerCase()]);
filter.addEventListener("input", () => {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const [node, text] of operations) node.hidden = !words.every((word) => text.includes(word));
});
const reveal = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target && target.tagName === "DETAILS") target.open = true;
};
addEventListener("hashchange", reveal);
reveal();
