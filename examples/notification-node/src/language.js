// The texts of mails, the same as those of the service in Python: a reader cannot tell which of the two has written.

import { readFileSync } from 'node:fs';

const TEXTS = new URL('../texts/', import.meta.url);
const LANGUAGES = new Map(
  ['en', 'fr', 'ar'].map((tag) => [tag, JSON.parse(readFileSync(new URL(`${tag}.json`, TEXTS), 'utf8'))]),
);
const DEFAULT = 'en';

/** The language of a reader's locale, such as "fr-CA": its tag, its texts, and the locale of amounts and dates. */
export function languageOf(locale) {
  const [wanted] = locale.toLowerCase().split('-');
  const tag = LANGUAGES.has(wanted) ? wanted : DEFAULT;
  return { tag, texts: LANGUAGES.get(tag), locale: tag === wanted ? known(locale, tag) : tag };
}

/** A text with its {placeholders} replaced. */
export const filled = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

function known(locale, tag) {
  try {
    return Intl.NumberFormat.supportedLocalesOf(locale).length ? locale : tag;
  } catch {
    return tag;
  }
}
