// A sale that needs attention is found, looked at and tried again, with a preview and a reason.
import { cells, go, notice, opened } from "./operator.mjs";

export async function mending({ browser, folder, parked }) {
  const page = await opened(browser, "/console/sagas", { viewport: { width: 1280, height: 900 } });
  await page.getByRole("link", { name: "stuck", exact: true }).click();
  const row = page.getByRole("row", { name: parked.order });
  const listed = await cells(row);
  await row.getByRole("checkbox").check();
  await page.locator("select[name=action]").selectOption("retry");
  await page.getByLabel("Why").fill("a piece has arrived");
  await page.getByRole("button", { name: "Preview" }).click();
  const preview = await page.locator("main .lead").innerText();
  await page.screenshot({ path: `${folder}/preview.png` });
  await page.getByRole("button", { name: "Retry 1" }).click();
  const said = await notice(page);
  await go(page, "Sagas"); // open runs
  while (await page.getByRole("link", { name: parked.order }).count()) await page.reload();
  await page.goto(`${new URL(page.url()).origin}/console/sagas/${encodeURIComponent(parked.run)}`);
  const state = await page.locator("dl.facts .tag").first().innerText();
  const actions = await page.locator("table", { hasText: "Actions of operators" }).locator("tbody tr").allInnerTexts();
  await page.context().close();
  return { listed, preview, said, state, actions };
}
