// Uses the page for people in a real browser, as a person does, and prints what it found as one JSON object.
//
//   node inspect.mjs BROWSER URL [FOLDER]      FOLDER gets a picture of each page
import { judged, started, wide } from "./chromium.mjs";

const [executablePath, url, folder] = process.argv.slice(2);
const SCHEMES = ["light", "dark"];
const WIDTHS = [1280, 390, 320];
const NOWHERE = "no-such-word";
const browser = await started(executablePath, url);
const { open, noise, requests, refused } = browser;

const picture = (page, name) => folder && page.screenshot({ path: `${folder}/${name}.png` });

async function openAll(page) {
  await page.evaluate(() => document.querySelectorAll("details").forEach((one) => (one.open = true)));
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
      const sections = [...document.querySelectorAll("main section:not(#try-caller)")].filter(shown);
      return {
        sections: sections.map((one) => one.querySelector("h2").textContent),
        empty: sections.filter((one) => !entries(one).length).map((one) => one.querySelector("h2").textContent),
        entries: sections.flatMap(entries).map((one) => one.textContent.toLowerCase()),
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
    const usable = [...document.querySelectorAll("a, input, select, button, summary")].filter((node) => node.checkVisibility());
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

// A request is tried from the page: by nobody, and by a demo account; the answers as a person reads them.
async function tried() {
  const page = await open("/docs", { viewport: { width: 1280, height: 1000 } });
  const login = page.locator("#try-login");
  const send = async (operation, fill = async () => {}) => {
    const entry = page.locator(`#${operation}`);
    if (!(await entry.evaluate((node) => node.open))) await entry.locator("summary").click();
    await fill(entry);
    await entry.getByRole("button", { name: "Send" }).click();
    await entry.locator("output strong").waitFor();
    await page.waitForFunction((id) => !document.querySelector(`#${id} output`).innerText.startsWith("Sending"), operation);
    await picture(page, `tried-${operation}`);
    return entry.locator("output").innerText();
  };
  const nobody = await send("placeOrder");
  await page.locator("#try-account").selectOption({ label: "a customer" });
  await login.getByRole("button", { name: "Log in" }).click();
  await page.waitForFunction(() => document.querySelector("#try-login output").innerText.startsWith("Logged in"));
  const caller = await login.locator("output").innerText();
  const order = await send("placeOrder");
  const again = await send("placeOrder");
  const id = /"id": "(ORD-[^"]+)"/.exec(order)?.[1] ?? "";
  const read = await send("getOrder", (entry) => entry.locator("input[name=id]").fill(id));
  const found = await send("searchProducts", (entry) => entry.locator("input[name=q]").fill("mug & <b>"));
  await login.getByRole("button", { name: "Log out" }).click();
  const gone = await send("getOrder", (entry) => entry.locator("input[name=id]").fill(id));
  const wrong = await (async () => {
    await login.locator("input[name=email]").fill("demo@souk.test");
    await login.locator("input[name=password]").fill("wrong-password");
    await login.getByRole("button", { name: "Log in" }).click();
    await page.waitForFunction(() => /^\d/.test(document.querySelector("#try-login output").innerText));
    return login.locator("output").innerText();
  })();
  const judgement = await judged(page);
  await page.context().close();
  return { nobody, caller, order, again, id, read, found, gone, wrong, violations: judgement.violations };
}

// Where a browser ends up that asks for the bare address, and for what does not exist.
async function others() {
  const root = await open("/", {});
  const landed = new URL(root.url()).pathname;
  await root.context().close();
  const missing = await open("/nothing/here", { viewport: { width: 390, height: 844 } });
  const text = await missing.evaluate(() => document.body.innerText);
  await picture(missing, "missing-390");
  await missing.context().close();
  return { landed, text };
}

try {
  const found = {
    layouts: await layouts(),
    filtered: await filtered(),
    keyboard: await byKeyboard(),
    fragments: await fragments(),
    others: await refused(others),
    tried: await refused(tried),
  };
  console.log(JSON.stringify({ ...found, noise, requests }));
} finally {
  await browser.close();
}
