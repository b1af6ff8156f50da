// Uses the console as an operator does, and prints what it found as one JSON object.
//
//   node console.mjs BROWSER URL FOLDER PARTS [GIVEN]
//
// PARTS are names of the table below, with commas between; GIVEN is JSON that they need; FOLDER gets the pictures.
import { started } from "./chromium.mjs";
import { byKeyboard } from "./console/keyboard.mjs";
import { journey } from "./console/journey.mjs";
import { mending } from "./console/mending.mjs";
import { pages } from "./console/pages.mjs";

const PARTS = { journey, keyboard: byKeyboard, pages, mending };
const [executablePath, url, folder, parts, given = "{}"] = process.argv.slice(2);
const browser = await started(executablePath, url);
try {
  const found = {};
  for (const part of parts.split(",")) found[part] = await PARTS[part]({ ...JSON.parse(given), browser, url, folder });
  console.log(JSON.stringify({ ...found, noise: browser.noise, requests: browser.requests }));
} catch (error) {
  console.error([...(await browser.texts()), ...browser.noise].join("\n\n"));
  throw error;
} finally {
  await browser.close();
}
