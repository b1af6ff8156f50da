// CRC-32 as zlib has it, by which keys are given to partitions. Node has it itself only from version 22.2 on.

const TABLE = Array.from({ length: 256 }, (_, octet) => {
  let value = octet;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value >>> 0;
});

/** The checksum of a buffer, as an unsigned number of 32 bits. */
export function crc32(buffer) {
  let value = 0xffffffff;
  for (const octet of buffer) value = TABLE[(value ^ octet) & 0xff] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}
