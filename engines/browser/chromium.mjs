// Chromium, used as a person uses it, and what every test asks of a page.
import axe from "axe-core";
import { chromium } from "playwright-core";

const STANDARD = { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] };
// Nothing but loopback has an address, so that the browser itself asks its maker's hosts for nothing.
const args = ["--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"];
const PATIENCE = 120_000; // only a page that is broken takes as long, not one on a busy machine

// Starts it. `noise` is what a person would find in the browser's console, `requests` is where pages asked for anything.
export async function started(executablePath, url) {
  const browser = await chromium.launch({ executablePath, args });
  const noise = [];
  const requests = [];
  const open = async (path, options) => {
    const page = await (await browser.newContext(options)).newPage();
    page.setDefaultTimeout(PATIENCE);
    page.on("console", (message) => ["error", "warning"].includes(message.type()) && noise.push(`${page.url()}: ${message.text()}`));
    page.on("pageerror", (error) => noise.push(`${page.url()}: ${error}`));
    page.on("request", (request) => requests.push(request.url()));
    await page.goto(url + path);
    return page;
  };
  // Does what is refused on purpose, which is noise that is meant.
  const refused = async (work) => {
    const before = [...noise];
    const result = await work();
    noise.splice(0, noise.length, ...before);
    return result;
  };
  // What stands on the pages that are open, for who has to find out why a script failed.
  const texts = async () => {
    const pages = browser.contexts().flatMap((context) => context.pages());
    return Promise.all(pages.map(async (page) => `${page.url()}\n${await page.evaluate(() => document.body.innerText)}`));
  };
  return { noise, requests, open, refused, texts, close: () => browser.close() };
}

// What axe-core has against a page.
export async function judged(page) {
  await page.evaluate(axe.source);
  const { violations, incomplete, passes } = await page.evaluate((standard) => window.axe.run(standard), STANDARD);
  const contrast = (rules) => rules.filter((rule) => rule.id === "color-contrast").flatMap((rule) => rule.nodes);
  return {
    violations: violations.flatMap((rule) => rule.nodes.map((node) => `${rule.id}: ${node.html} ${node.failureSummary}`)),
    undecided: await undecided(page, contrast(incomplete)),
    compared: contrast(passes).length,
  };
}

// Of what is scrolled half out of its box, axe-core cannot say on what colour it is: it is asked again once all of it shows.
// Nor can it say so of what is written over a drawing.
async function undecided(page, nodes) {
  const found = [];
  for (const node of nodes.filter(({ html }) => !html.startsWith("<text "))) {
    const again = await page.evaluate(async ([selector, standard]) => {
      const element = document.querySelector(selector);
      if (!element) return []; // a page that is live has put something else there meanwhile
      element.scrollIntoView({ block: "center", inline: "center", behavior: "instant" });
      const { violations, incomplete } = await window.axe.run(element, standard);
      return [...violations, ...incomplete].flatMap((rule) => rule.nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`));
    }, [node.target.join(" "), { runOnly: { type: "rule", values: ["color-contrast"] } }]);
    found.push(...again);
  }
  return found;
}

// What cannot be read without scrolling the page sideways: wider than the window, and in no box that scrolls.
export async function wide(page) {
  return page.evaluate(() => {
    const scrolls = (node) => node && (/auto|scroll/.test(getComputedStyle(node).overflowX) || scrolls(node.parentElement));
    const out = [...document.querySelectorAll("body *")].filter(
      (node) => node.getClientRects().length && node.getBoundingClientRect().right > innerWidth + 0.5 && !scrolls(node.parentElement),
    );
    const root = document.scrollingElement;
    return { page: root.scrollWidth - root.clientWidth, nodes: out.map((node) => node.outerHTML.slice(0, 200)) };
  });
}

// Presses Tab until `wanted`, a selector, has the focus. What had the focus on the way and did not show it goes into `unseen`.
// The body has it between the last thing of the page and the first.
export async function tabTo(page, wanted, unseen) {
  for (let presses = 0; presses < 500; presses++) {
    await page.keyboard.press("Tab");
    const [found, seen, html] = await page.evaluate((selector) => {
      const node = document.activeElement, style = getComputedStyle(node);
      const shows = node === document.body || (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0);
      return [node.matches(selector), shows, node.outerHTML.slice(0, 200)];
    }, wanted);
    if (!seen) unseen.push(html);
    if (found) return;
  }
  throw new Error(`${page.url()}: the Tab key does not lead to ${wanted}`);
}
