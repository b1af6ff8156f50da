// A letter as an email (RFC 5322): multipart/alternative, plain text and HTML. The same letter is the
// same octets.

import { createHash } from 'node:crypto';

const SENDER = 'Souk <orders@souk.invalid>';
const LONGEST_LINE = 70;
const LONGEST_QUOTED_LINE = 76;
const OCTETS_IN_A_WORD = 36; // of an encoded word, which takes 75 characters
const PLAIN = /^[ -~]*$/;
const ADDRESS = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9.-]+$/;

/** The letter { id, to: { email, name }, message, writtenAt (milliseconds) }; `name` identifies it. */
export function emailOf({ id, to, message, writtenAt }, name) {
  const boundary = `souk-${sha256(id).slice(0, 32)}`;
  const headers = [
    `From: ${SENDER}`,
    `To: ${address(to)}`,
    `Subject: ${header(message.subject)}`,
    `Date: ${new Date(writtenAt).toUTCString().replace('GMT', '+0000')}`,
    `Message-ID: <${name}@souk.invalid>`,
    'Auto-Submitted: auto-generated',
    'MIME-Version: 1.0',
    `Content-Type: multipart/alternative; boundary="${boundary}"`,
  ];
  const parts = [['plain', message.text], ['html', message.html]].map(
    ([kind, content]) => `--${boundary}\r\n${part(kind, content)}\r\n`,
  );
  return Buffer.from(`${headers.join('\r\n')}\r\n\r\n${parts.join('')}--${boundary}--\r\n`, 'ascii');
}

export const sha256 = (text) => createHash('sha256').update(text).digest('hex');

function part(kind, content) {
  const head = [`Content-Type: text/${kind}; charset="utf-8"`, 'Content-Transfer-Encoding: quoted-printable', '', ''];
  const lines = content.replace(/\n$/, '').split(/\r\n|\r|\n/);
  return head.join('\r\n') + lines.map((line) => `${quotedPrintable(line)}\r\n`).join('');
}

/** A line in quoted-printable (RFC 2045, 6.7), softly broken where it is too long. */
function quotedPrintable(line) {
  const octets = Buffer.from(line);
  const written = [...octets].map((octet, place) => {
    const lastBlank = place === octets.length - 1 && (octet === 0x20 || octet === 0x09);
    const plain = octet === 0x09 || (octet >= 0x20 && octet <= 0x7e && octet !== 0x3d);
    return plain && !lastBlank ? String.fromCharCode(octet) : hex(octet);
  });
  let column = 0;
  return written.reduce((text, next) => {
    const fits = column + next.length < LONGEST_QUOTED_LINE;
    column = fits ? column + next.length : next.length;
    return `${text}${fits ? '' : '=\r\n'}${next}`;
  }, '');
}

const hex = (octet) => `=${octet.toString(16).toUpperCase().padStart(2, '0')}`;

function address({ email, name }) {
  // Whoever could put a line break into an address could write headers of their own.
  if (!ADDRESS.test(email)) throw new TypeError('not an address that can be written to');
  const line = onOneLine(name);
  const shown = isPlain(line) ? `"${line.replace(/[\\"]/g, '\\$&')}"` : encoded(line);
  return `${shown} <${email}>`;
}

function header(value) {
  const line = onOneLine(value);
  return isPlain(line) && line.length < LONGEST_LINE ? line : encoded(line);
}

// What begins an encoded word would be shown as another text.
const isPlain = (text) => PLAIN.test(text) && !text.includes('=?');

const onOneLine = (text) => text.trim().split(/\s+/).join(' ');

/** As encoded words (RFC 2047), none of which is too long or breaks a character. */
function encoded(text) {
  const words = [''];
  for (const character of text) {
    if (Buffer.byteLength(words.at(-1) + character) > OCTETS_IN_A_WORD) words.push('');
    words[words.length - 1] += character;
  }
  return words.map((word) => `=?utf-8?b?${Buffer.from(word).toString('base64')}?=`).join('\r\n ');
}
