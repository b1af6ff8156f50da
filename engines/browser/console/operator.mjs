// What an operator does on every page of the console.

export const ACCOUNT = { email: "admin@souk.test", password: "admin-password" };

// Opens a page of the console in a new window, and logs in on the way.
export async function opened(browser, path, options) {
  const page = await browser.open(path, options);
  await page.getByLabel("Email").fill(ACCOUNT.email);
  await page.getByLabel("Password").fill(ACCOUNT.password);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.waitForURL((to) => to.pathname === path);
  return page;
}

// Follows a link of the navigation.
export async function go(page, label) {
  await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: label, exact: true }).click();
  await page.getByRole("heading", { level: 1, name: label, exact: true }).waitFor();
}

export const notice = (page) => page.locator("main > .notice[role=status]").innerText();

// The texts of the cells of a row of a table, by their labels.
export const cells = (row) =>
  row.evaluate((node) => Object.fromEntries([...node.querySelectorAll("[data-label]")].map((one) => [one.dataset.label, one.innerText])));
