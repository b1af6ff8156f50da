// Uses the page for people in a real browser, as a person does, and prints what it found as one JSON object.
//
//   node inspect.mjs BROWSER URL [FOLDER]      FOLDER gets a picture of each page
import axe from "axe-core";
import { chromium } from "playwright-core";

const [executablePath, url, folder] = process.argv.slice(2);
const SCHEMES = ["light", "dark"];
const WIDTHS = [1280, 390, 320];
const NOWHERE = "no-such-word";
const STANDARD = { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] };
// Nothing but loopback has an address, so that the browser itself asks its maker's hosts for nothing.
const args = ["--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"];

const browser = await chromium.launch({ executablePath, args });
const noise = []; // what a person would find in the console
const requests = []; // where the page asked for anything

async function open(path, options) {
  const page = await (await browser.newContext(options)).newPage();
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && noise.push(message.text()));
  page.on("pageerror", (error) => noise.push(String(error)));
  page.on("request", (request) => requests.push(request.url()));
  await page.goto(url + path);
  return page;
}

const picture = (page, name) => folder && page.screenshot({ path: `${folder}/${name}.png` });

async function openAll(page) {
  await page.evaluate(() => document.querySelectorAll("details").forEach((one) => (one.open = true)));
}

async function judged(page) {
  await page.evaluate(axe.source);
  const { violations, incomplete, passes } = await page.evaluate((standard) => window.axe.run(standard), STANDARD);
  const contrast = (rules) => rules.filter((rule) => rule.id === "color-contrast").flatMap((rule) => rule.nodes);
  return {
    violations: violations.flatMap((rule) => rule.nodes.map((node) => `${rule.id}: ${node.html} ${node.failureSummary}`)),
    undecided: contrast(incomplete).map((node) => `${node.html} ${node.failureSummary}`),
    compared: contrast(passes).length,
  };
}

// What cannot be read without scrolling the page sideways: wider than the window, and in no box that scrolls.
async function wide(page) {
  return page.evaluate(() => {
    const scrolls = (node) => node && (/auto|scroll/.test(getComputedStyle(node).overflowX) || scrolls(node.parentElement));
    const out = [...document.querySelectorAll("body *")].filter(
      (node) => node.getClientRects().length && node.getBoundingClientRect().right > innerWidth + 0.5 && !scrolls(node.parentElement),
    );
    const root = document.scrollingElement;
    return { page: root.scrollWidth - root.clientWidth, nodes: out.map((node) => node.outerHTML.slice(0, 200)) };
  });
}

async function layouts() {
  const found = [];
  for (const colorScheme of SCHEMES) {
    for (const width of WIDTHS) {
      const page = await open("/docs", { colorScheme, viewport: { width, height: 844 } });
      await picture(page, `docs-${colorScheme}-${width}`);
      await openAll(page);
      found.push({ colorScheme, width, wide: await wide(page), ...(await judged(page)) });
      await picture(page, `docs-${colorScheme}-${width}-open`);
      await page.context().close();
    }
  }
  return found;
}

// What is left of the page while words stand in the filter.
async function filtered() {
  const page = await open("/docs", { viewport: { width: 1280, height: 844 } });
  const found = {};
  for (const words of ["", "OUT_OF_STOCK", "wallet top", NOWHERE, ""]) {
    await page.getByRole("searchbox").fill(words);
    found[words] = await page.evaluate(() => {
      const shown = (node) => node.checkVisibility();
      const entries = (node) => [...node.querySelectorAll("details, tr[id]")].filter(shown);
      const sections = [...document.querySelectorAll("main section")].filter(shown);
      return {
        sections: sections.map((one) => one.querySelector("h2").textContent),
        empty: sections.filter((one) => !entries(one).length).map((one) => one.querySelector("h2").textContent),
        entries: entries(document).map((one) => one.textContent.toLowerCase()),
        status: document.querySelector("[role=status]")?.innerText ?? "",
      };
    });
    await picture(page, `filter-${words.replaceAll(" ", "-") || "none"}`);
  }
  await page.context().close();
  return found;
}

// Everything that can be used is reached by Tab alone, is seen to be reached, and opens by Enter.
async function byKeyboard() {
  const page = await open("/docs", { viewport: { width: 1280, height: 844 } });
  const wanted = await page.evaluate(() => {
    const usable = [...document.querySelectorAll("a, input, button, summary")].filter((node) => node.checkVisibility());
    usable.forEach((node, index) => (node.dataset.order = index));
    return usable.length;
  });
  const reached = [];
  const unseen = [];
  for (let index = 0; index < wanted; index++) {
    await page.keyboard.press("Tab");
    const [order, outline, html] = await page.evaluate(() => {
      const node = document.activeElement;
      return [Number(node.dataset.order), getComputedStyle(node).outlineStyle, node.outerHTML.slice(0, 200)];
    });
    reached.push(order);
    if (outline === "none") unseen.push(html);
  }
  const summary = page.locator("summary").first();
  await summary.focus();
  await page.keyboard.press("Enter");
  const opened = await page.locator("details").first().evaluate((node) => node.open);
  await page.context().close();
  return { wanted, reached, unseen, opened };
}

// Where the address of a problem's type, or of a link in the page, leads.
async function fragments() {
  const page = await open("/docs#OUT_OF_STOCK", { viewport: { width: 390, height: 844 } });
  const inView = (id) => page.evaluate((name) => {
    const { top, bottom } = document.getElementById(name).getBoundingClientRect();
    return bottom > 0 && top < innerHeight;
  }, id);
  const code = await inView("OUT_OF_STOCK");
  await picture(page, "fragment-390");
  await page.getByRole("searchbox").fill(NOWHERE);
  await page.evaluate(() => (location.hash = "Product"));
  await page.waitForFunction(() => location.hash === "#Product" && document.getElementById("Product").open);
  const schema = await inView("Product");
  const shown = await page.locator("#Product").isVisible();
  await page.context().close();
  return { code, schema, shown };
}

// Where a browser ends up that asks for the bare address, and for what does not exist.
async function others() {
  const root = await open("/", {});
  const landed = new URL(root.url()).pathname;
  await root.context().close();
  const before = [...noise];
  const missing = await open("/nothing/here", { viewport: { width: 390, height: 844 } });
  const text = await missing.evaluate(() => document.body.innerText);
  await picture(missing, "missing-390");
  await missing.context().close();
  noise.splice(0, noise.length, ...before); // a 404 is an error to the console, and is meant here
  return { landed, text };
}

try {
  const found = {
    layouts: await layouts(),
    filtered: await filtered(),
    keyboard: await byKeyboard(),
    fragments: await fragments(),
    others: await others(),
  };
  console.log(JSON.stringify({ ...found, noise, requests }));
} finally {
  await browser.close();
}
