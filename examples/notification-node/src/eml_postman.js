// Letters as .eml files in a folder, as marketplace/notification writes them. A file is named by the
// event, so that the same letter twice is one file.

import { randomBytes } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { emailOf, sha256 } from './letter.js';

const PLAIN_NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/;

export class EmlPostman {
  constructor(mailbox) {
    this.mailbox = mailbox;
  }

  /** Returns once the file is on the disk; a crash leaves the whole file or none. */
  async take(letter) {
    const name = PLAIN_NAME.test(letter.id) ? letter.id : sha256(letter.id);
    const content = emailOf(letter, name);
    await mkdir(this.mailbox, { recursive: true, mode: 0o700 });
    const aside = join(this.mailbox, `.${name}.${randomBytes(4).toString('hex')}`);
    try {
      await durably(aside, 'wx', (file) => file.writeFile(content));
      await rename(aside, join(this.mailbox, `${name}.eml`));
    } catch (error) {
      await rm(aside, { force: true });
      throw error;
    }
    await durably(this.mailbox, 'r', () => {});
  }
}

async function durably(path, flags, write) {
  const file = await open(path, flags, 0o600);
  try {
    await write(file);
    await file.sync();
  } finally {
    await file.close();
  }
}
