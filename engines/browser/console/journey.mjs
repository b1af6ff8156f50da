// An order arrives, Payment dies in the middle of a charge, and a breaker is forced: what an operator sees of it.
import { cells, go, notice, opened } from "./operator.mjs";
import { shopping } from "./shop.mjs";

const WINDOW = { viewport: { width: 1280, height: 900 } };
const TRIES = 5;
const callsOf = (page, edge) => page.locator("#live tr", { has: page.locator("th", { hasText: edge }) });

export async function journey({ browser, url, folder }) {
  const shop = await shopping(url);
  const page = await opened(browser, "/console", WINDOW);
  const found = { arrival: await arrival(page, shop) };
  found.crash = await crashed(page, shop);
  found.point = await struck(page, shop);
  await page.screenshot({ path: `${folder}/faults.png`, fullPage: true });
  found.invariants = await invariants(page);
  found.breaker = await forced(page, shop, browser);
  await page.context().close();
  return found;
}

// An order is seen on the map, found among the sagas, and opened.
async function arrival(page, shop) {
  const edge = "order → payment";
  const before = await callsOf(page, edge).count();
  const placed = await shop.order();
  await page.waitForFunction(
    (name) => [...document.querySelectorAll("#live tr")].some(
      (row) => row.querySelector("th").innerText.startsWith(name) && Number(row.querySelector("[data-label='Calls/s']").innerText) > 0,
    ), edge);
  const row = await cells(callsOf(page, edge).first());
  const drawn = await page.locator("#map svg title", { hasText: edge }).count();
  await openOrder(page, placed.body.id);
  const records = await page.locator("#live tbody tr").allInnerTexts();
  return { before, placed, row, drawn, title: await page.locator("h1").innerText(), records };
}

async function openOrder(page, id) {
  await openRun(page, id);
  await page.locator("dl.facts").getByRole("link", { name: id }).click();
  await page.getByRole("heading", { level: 1, name: `Order ${id}` }).waitFor();
}

async function openRun(page, id) {
  await go(page, "Sagas");
  await page.getByRole("link", { name: "all", exact: true }).click();
  await page.getByRole("row").getByRole("link", { name: id }).click();
  await page.getByRole("heading", { level: 2, name: "Steps" }).waitFor();
}

// Payment is killed by its button while the bank is asked; the supervisor starts it again, and the saga goes on.
async function crashed(page, shop) {
  const slow = await shop.saveCard("tok_slow");
  const known = new Set();
  await go(page, "Faults");
  for (let tries = 1; ; tries++) {
    const before = await restarts(page, "payment");
    const placing = shop.order(slow);
    const id = await shop.underCharge(known);
    known.add(id);
    await page.getByRole("button", { name: "Kill one of payment" }).click();
    const said = await notice(page);
    await recovered(page, "payment", before);
    const answer = await placing;
    const status = await shop.ended(id);
    await page.getByText("No saga is open.").waitFor();
    const steps = await stepsOf(page, id);
    await go(page, "Faults");
    // A machine so busy that the charge was over before the button was pressed has shown nothing: once more.
    if (steps["charge payment"].Tries !== "1" || tries === TRIES) return { said, answer, status, steps, tries };
  }
}

// The process of a saga dies at a fault point of its definition, and the one that follows takes the run over.
async function struck(page, shop) {
  const point = "charge payment: after its call";
  await go(page, "Faults");
  const before = await restarts(page, "order");
  // The same step may be in several sagas: the first is that of placing.
  await page.getByRole("button", { name: `Crash here: ${point}`, exact: true }).first().click();
  const said = await notice(page);
  const armed = await page.locator("tr", { has: page.locator("th", { hasText: point }) }).first().locator(".tag").innerText();
  const { status: answered } = await shop.order();
  const id = (await shop.until("/api/v1/orders", ({ orders }) => orders[0])).id;
  await recovered(page, "order", before);
  await page.getByText("No saga is open.").waitFor();
  const status = await shop.ended(id);
  const steps = await stepsOf(page, id);
  await go(page, "Faults");
  return { said, armed, answered, status, steps, restarted: (await restarts(page, "order")) - before };
}

const rowsOf = (page, service) => page.locator("#live tr", { has: page.locator("th", { hasText: service }) });

async function restarts(page, service) {
  const rows = await rowsOf(page, service).all();
  return (await Promise.all(rows.map(cells))).reduce((sum, row) => sum + Number(row.Restarts), 0);
}

// Waits until the page shows, by itself, that a process was started again and is ready.
async function recovered(page, service, before) {
  await page.waitForFunction(
    ([name, count]) => {
      const rows = [...document.querySelectorAll("#live tbody tr")].filter((row) => row.querySelector("th").innerText.startsWith(name));
      const cell = (row, label) => row.querySelector(`[data-label=${label}]`).innerText;
      return rows.reduce((sum, row) => sum + Number(cell(row, "Restarts")), 0) > count && rows.every((row) => cell(row, "State") === "ready");
    }, [service, before]);
}

// The steps of the run that placed an order, as its page shows them, once it has completed.
async function stepsOf(page, id) {
  await openRun(page, id);
  const rows = await page.locator("table", { has: page.getByText("Last failure") }).locator("tbody tr").all();
  const steps = {};
  for (const row of rows) steps[await row.locator("th").innerText()] = await cells(row);
  return { state: await page.locator("dl.facts .tag").first().innerText(), ...steps };
}

// What the page says of each invariant, once nothing is in motion.
async function invariants(page) {
  await go(page, "Invariants");
  await page.waitForFunction(() => {
    const tags = [...document.querySelectorAll("#live article .tag")];
    return tags.length && tags.every((one) => one.innerText !== "in motion");
  });
  const shown = await page.locator("#live article h2").all();
  return Promise.all(shown.map(async (one) => [await one.innerText(), await one.locator(".tag").getAttribute("class")]));
}

// Product's breakers are forced open, which buyers notice, and set to automatic again.
async function forced(page, shop) {
  const products = async () => (await shop.ask("GET", "/api/v1/products")).status;
  await products();
  await go(page, "Breakers");
  await page.getByLabel("Calls of").selectOption("product");
  await page.getByLabel("Why").fill("ticket 7: too many time-outs");
  await page.getByRole("button", { name: "Open", exact: true }).click();
  const opened = { said: await notice(page), answer: await products(), states: await statesOf(page, "product") };
  await page.getByLabel("Calls of").selectOption("product");
  await page.getByLabel("Why").fill("ticket 7 is solved");
  await page.getByRole("button", { name: "Automatic", exact: true }).click();
  return { opened, undone: { said: await notice(page), answer: await products(), states: await statesOf(page, "product") } };
}

export async function statesOf(page, callee) {
  const rows = await page.locator("#live tr:has([data-label=State])", { has: page.locator("th", { hasText: `→ ${callee}` }) }).all();
  return Promise.all(rows.map(async (row) => (await cells(row)).State));
}
