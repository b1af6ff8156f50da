// Every page of the console, dark and light, wide and narrow: judged, and pictured.
import { judged, wide } from "../chromium.mjs";
import { opened } from "./operator.mjs";

const SCHEMES = ["light", "dark"];
const WIDTHS = { wide: 1280, narrow: 400 };
const BETWEEN = [1270, 1060, 700];
const MOST = 1400; // of the height of a picture, in pixels

export async function pages({ browser, folder, parked, order, event }) {
  const found = [];
  for (const colorScheme of SCHEMES) {
    for (const [layout, width] of Object.entries(WIDTHS)) {
      const page = await opened(browser, "/console", { colorScheme, viewport: { width, height: 900 }, reducedMotion: "reduce" });
      const visits = [...(await listed(page)), ...(await details(page, { browser, parked, order, event }))];
      for (const visit of visits) {
        await visit.show(page);
        await pictured(page, `${folder}/${visit.name}-${layout}-${colorScheme}.png`);
        const covered = await coveredLabels(page);
        const seen = { covered, wide: await wide(page), ...(await judged(page)) };
        found.push({ name: visit.name, colorScheme, width, ...seen, between: await between(page, width) });
      }
      await page.context().close();
    }
  }
  return found;
}

const at = (path) => (page) => page.goto(new URL(path, page.url()).href).then(() => drawn(page));

// A page in a window between the wide and the narrow ones: beside the navigation, or with it on top.
async function between(page, width) {
  if (width !== WIDTHS.wide) return [];
  const found = [];
  for (const less of BETWEEN) {
    await page.setViewportSize({ width: less, height: 900 });
    // What scripts draw is drawn anew with the browser's next picture, and shown with the one after that.
    await page.evaluate(() => new Promise((shown) => requestAnimationFrame(() => requestAnimationFrame(shown))));
    found.push(await wide(page));
  }
  await page.setViewportSize({ width, height: 900 });
  return found;
}

// The labels of the map that a box or another label hides, or that are too small to be read.
async function coveredLabels(page) {
  return page.evaluate(() => {
    const box = (node) => node.getBoundingClientRect();
    const over = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
    const labels = [...document.querySelectorAll("#map .label")], nodes = [...document.querySelectorAll("#map .node")];
    const hidden = labels.filter((one) => [...labels, ...nodes].some((other) => other !== one && over(box(one), box(other))));
    const small = [...document.querySelectorAll("#map text")].filter((one) => box(one).height < 9);
    return [...hidden, ...small].map((one) => one.textContent);
  });
}

// The pages of the navigation: a new one is judged as well.
async function listed(page) {
  const paths = await page.locator("nav[aria-label=Pages] a").evaluateAll((links) => links.map((one) => one.getAttribute("href")));
  return paths.map((path) => ({ name: path.slice("/console/".length) || "map", show: at(path === "/console/sagas" ? `${path}?state=all` : path) }));
}

// The pages behind them, each of what GIVEN names, and what is seen before, between and instead of pages.
async function details(page, { browser, parked, order, event }) {
  await at("/console/traces?operation=POST%20/api/v1/orders")(page);
  const [first, second] = await page.locator("tbody input[name=id]").evaluateAll((boxes) => boxes.map((one) => one.value));
  return [
    { name: "login", show: at("/console/login") },
    { name: "trace", show: at(`/console/traces/${first}`) },
    { name: "traces-compared", show: at(`/console/traces/compare?id=${first}&id=${second}`) },
    { name: "saga", show: at(`/console/sagas/${encodeURIComponent(parked.run)}`) },
    { name: "sagas-preview", show: preview },
    { name: "order", show: at(`/console/orders/${order}`) },
    { name: "parked-event", show: at(`/console/parked/${event}`) },
    { name: "failure", show: (page) => browser.refused(() => at("/console/nothing")(page)) },
  ];
}

async function preview(page) {
  await at("/console/sagas?state=stuck")(page);
  await page.locator("tbody input[name=id]").first().check();
  await page.getByLabel("Why").fill("a piece has arrived");
  await page.getByRole("button", { name: "Preview" }).click();
  await page.getByText("Nothing is done yet.").waitFor();
}

// Waits for what scripts draw.
async function drawn(page) {
  for (const [place, made] of [["#map", "svg"], ["[data-chart]", "canvas"]]) {
    if (await page.locator(place).count()) await page.locator(`${place} ${made}`).first().waitFor({ state: "attached" });
  }
}

async function pictured(page, path) {
  const { width, height } = await page.evaluate(() => ({ width: innerWidth, height: document.documentElement.scrollHeight }));
  await page.screenshot({ path, fullPage: true, animations: "disabled", clip: { x: 0, y: 0, width, height: Math.min(height, MOST) } });
}
