// Content as plain text and as HTML. Whatever comes from outside is escaped here, in one place.

const SHOP = 'Souk';
const ENTITIES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#x27;' };

/** The message to somebody of this name, { subject, text, html }; an empty name is greeted without one. */
export function render(content, name) {
  const greeting = name ? `Hello ${name},` : 'Hello,';
  return { subject: content.subject, text: text(content, greeting), html: html(content, greeting) };
}

function text({ opening, lines, closing }, greeting) {
  const width = Math.max(0, ...lines.map(([label]) => label.length));
  const table = lines.map(([label, value]) => `  ${label.padEnd(width)}  ${value}`).join('\n');
  return `${[greeting, opening, table, closing, SHOP].filter(Boolean).join('\n\n')}\n`;
}

function html({ subject, opening, lines, closing }, greeting) {
  return `<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>${escaped(subject)}</title></head>
<body style="font-family: sans-serif; max-width: 36em; margin: 2em auto; color: #222">
<p>${escaped(greeting)}</p>
<p>${escaped(opening)}</p>
${table(lines)}<p>${escaped(closing)}</p>
<p>${SHOP}</p>
</body>
</html>
`;
}

function table(lines) {
  const row = ([label, value]) =>
    `<tr><td style="padding: 0.2em 2em 0.2em 0">${escaped(label)}</td>` +
    `<td style="text-align: right">${escaped(value)}</td></tr>\n`;
  return lines.length ? `<table>\n${lines.map(row).join('')}</table>\n` : '';
}

const escaped = (value) => value.replace(/[&<>"']/g, (found) => ENTITIES[found]);
