// The console by keyboard alone: no click, and no word that a mouse would need.
import { tabTo } from "../chromium.mjs";
import { statesOf } from "./journey.mjs";
import { ACCOUNT, notice } from "./operator.mjs";

export async function byKeyboard({ browser, folder }) {
  const page = await browser.open("/console/breakers", { viewport: { width: 1280, height: 900 } });
  const unseen = [];
  const heading = (name) => page.getByRole("heading", { level: 1, name }).waitFor();
  const press = (key) => page.keyboard.press(key);
  const follow = async (link) => {
    await tabTo(page, link, unseen);
    await press("Enter");
  };
  await logIn(page, press);
  await heading("Breakers");
  const skipped = await skip(page, press);
  const breaker = await force(page, press, unseen);
  await follow("nav a[href='/console/sagas']");
  await heading("Sagas");
  await follow(".views a[href$='state=all']");
  await page.waitForURL(/state=all/);
  await follow("tbody th a");
  await heading(/^place-order:/);
  await follow("dl.facts dd a[href^='/console/orders/']");
  await heading(/^Order ORD-/);
  const slider = await slide(page, press, unseen);
  await page.screenshot({ path: `${folder}/keyboard.png` });
  await follow("details.who summary");
  await follow("form[action='/console/logout'] button");
  await page.waitForURL(/login/);
  await page.context().close();
  return { skipped, breaker, slider, unseen };
}

async function logIn(page, press) {
  // The page puts the focus into the first field, with the first picture that the browser draws of it.
  await page.waitForFunction(() => document.activeElement.matches("input[name=email]"));
  await page.keyboard.type(ACCOUNT.email);
  await press("Tab");
  await page.keyboard.type(ACCOUNT.password);
  await press("Enter");
}

// The first thing that Tab reaches leads past the navigation. The browser moves the focus there with its next picture.
async function skip(page, press) {
  await press("Tab");
  const first = await page.evaluate(() => document.activeElement.innerText);
  await press("Enter");
  await page.waitForFunction(() => document.activeElement.matches("main"));
  await press("Tab");
  return { first, inside: await page.evaluate(() => document.querySelector("main").contains(document.activeElement)) };
}

async function force(page, press, unseen) {
  const choose = async (callee) => {
    await tabTo(page, "select[name=callee]", unseen);
    const options = await page.locator("select[name=callee] option").allInnerTexts();
    await press("Home");
    for (let at = 0; at < options.indexOf(callee); at++) await press("ArrowDown");
    return page.locator("select[name=callee]").inputValue();
  };
  const send = async (why, mode) => {
    await tabTo(page, "input[name=why]", unseen);
    await page.keyboard.type(why);
    await tabTo(page, `button[value=${mode}]`, unseen);
    await press("Enter");
    await page.waitForFunction((text) => document.querySelector("main > .notice")?.innerText.includes(text), mode === "open" ? "forced open" : "by themselves");
    return { said: await notice(page), states: await statesOf(page, "product") };
  };
  const chosen = await choose("product");
  const opened = await send("by keyboard", "open");
  await choose("product");
  return { chosen, opened, undone: await send("undone by keyboard", "auto") };
}

// The arrow keys move the moment as of which an order is shown.
async function slide(page, press, unseen) {
  const asOf = () => page.locator("#live .lead").innerText();
  const before = { asOf: await asOf(), later: await page.locator("tr.later").count() };
  await tabTo(page, "input[type=range]", unseen);
  await press("Home");
  await page.locator("tr.later").first().waitFor();
  return { before, after: { asOf: await asOf(), later: await page.locator("tr.later").count() } };
}
