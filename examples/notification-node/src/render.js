// Content as plain text and as HTML. Whatever comes from outside is escaped here, in one place.

import { filled } from './language.js';

const SHOP = 'Souk';
const RIGHT_TO_LEFT_MARK = '\u200f';
const ENTITIES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#x27;' };

/** The message to somebody of this name, { subject, text, html }; an empty name is greeted without one. */
export function render(content, { tag, texts }, name) {
  const greeting = name ? filled(texts.greeting, { name }) : texts.greeting_without_name;
  const rtl = texts.direction === 'rtl';
  return {
    subject: content.subject,
    text: text(content, greeting, rtl),
    html: html(content, greeting, { tag, rtl }),
  };
}

function text({ opening, lines, closing }, greeting, rtl) {
  const mark = rtl ? RIGHT_TO_LEFT_MARK : '';
  const width = Math.max(0, ...lines.map(([label]) => [...label].length));
  const padded = (label) => label + ' '.repeat(width - [...label].length);
  const table = lines.map(([label, value]) => `${mark}  ${padded(label)}  ${value}`).join('\n');
  return `${[greeting, opening, table, closing, SHOP].filter(Boolean).join('\n\n')}\n`;
}

function html({ subject, opening, lines, closing }, greeting, { tag, rtl }) {
  return `<!DOCTYPE html>
<html lang="${tag}" dir="${rtl ? 'rtl' : 'ltr'}">
<head><meta charset="utf-8"><title>${escaped(subject)}</title></head>
<body style="font-family: sans-serif; max-width: 36em; margin: 2em auto; color: #222">
<p>${escaped(greeting)}</p>
<p>${escaped(opening)}</p>
${table(lines, rtl)}<p>${escaped(closing)}</p>
<p>${SHOP}</p>
</body>
</html>
`;
}

function table(lines, rtl) {
  const [padding, end] = rtl ? ['0.2em 0 0.2em 2em', 'left'] : ['0.2em 2em 0.2em 0', 'right'];
  const row = ([label, value]) =>
    `<tr><td style="padding: ${padding}"><bdi>${escaped(label)}</bdi></td>` +
    `<td style="text-align: ${end}"><bdi>${escaped(value)}</bdi></td></tr>\n`;
  return lines.length ? `<table>\n${lines.map(row).join('')}</table>\n` : '';
}

const escaped = (value) => value.replace(/[&<>"']/g, (found) => ENTITIES[found]);
