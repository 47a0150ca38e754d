// PNG files, read and written to the last bit: a canvas keeps 8 bits of 16, and may change colours.

const START = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const VALUES = { 0: 1, 2: 3 }; // values of a pixel, by the colour type: grey and RGB

/** Whether the bytes begin as a PNG does. */
export function isPng(bytes) {
  return START.every((byte, i) => bytes[i] === byte);
}

/** Bits of a value and whether it is grey or RGB, from the first 26 bytes of a PNG. */
export function kindOf(bytes) {
  return { depth: bytes[24], plain: bytes[25] in VALUES };
}

/**
 * A grey or RGB PNG of 8 or 16 bits: `{ width, height, channels, data }`, the values row by row in a
 * Uint8Array or Uint16Array. Null for any other PNG.
 */
export async function decodePng(blob) {
  const file = new Uint8Array(await blob.arrayBuffer());
  const view = new DataView(file.buffer);
  if (!isPng(file)) return null;
  const [width, height] = [view.getUint32(16), view.getUint32(20)];
  const [depth, channels, interlaced] = [file[24], VALUES[file[25]], file[28]];
  if (!channels || interlaced || (depth !== 8 && depth !== 16)) return null;
  const parts = [];
  for (let at = 8; at + 12 <= file.length; at += 12 + view.getUint32(at)) {
    const isData = view.getUint32(at + 4) === 0x49444154; // IDAT
    if (isData) parts.push(file.subarray(at + 8, at + 8 + view.getUint32(at)));
  }
  const packed = new Blob(parts).stream().pipeThrough(new DecompressionStream("deflate"));
  const rows = new Uint8Array(await new Response(packed).arrayBuffer());
  const size = (channels * depth) / 8; // bytes of a pixel
  const plain = unfiltered(rows, width * size, height, size);
  return { width, height, channels, data: depth === 8 ? plain : joined(plain) };
}

// Every row begins with the number of its filter: what was subtracted from each byte.
function unfiltered(rows, length, height, size) {
  const plain = new Uint8Array(length * height);
  for (let y = 0; y < height; y++) {
    const filter = rows[y * (length + 1)];
    const from = y * (length + 1) + 1;
    const to = y * length;
    if (filter === 0) {
      plain.set(rows.subarray(from, from + length), to);
      continue;
    }
    for (let x = 0; x < length; x++) {
      const left = x < size ? 0 : plain[to + x - size];
      const above = y ? plain[to + x - length] : 0;
      const corner = x < size || !y ? 0 : plain[to + x - length - size];
      plain[to + x] = rows[from + x] + predicted(filter, left, above, corner);
    }
  }
  return plain;
}

function predicted(filter, left, above, corner) {
  if (filter === 1) return left;
  if (filter === 2) return above;
  if (filter === 3) return (left + above) >> 1;
  const [a, b, c] = [above - corner, left - corner, left + above - 2 * corner].map(Math.abs); // Paeth
  return a <= b && a <= c ? left : b <= c ? above : corner;
}

function joined(plain) {
  const values = new Uint16Array(plain.length / 2);
  for (let i = 0; i < values.length; i++) values[i] = (plain[2 * i] << 8) | plain[2 * i + 1];
  return values;
}

/** What the browser shows of a bitmap, as an RGB PNG; what is transparent lies on white. */
export async function asPlainPng(bitmap) {
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  const rgb = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; to < rgb.length; from += 4, to += 3) {
    rgb[to] = data[from];
    rgb[to + 1] = data[from + 1];
    rgb[to + 2] = data[from + 2];
  }
  return encodePng({ width, height, channels: 3, data: rgb });
}

/** The PNG of what `decodePng` returns. */
export async function encodePng({ width, height, channels, data }) {
  const deep = data instanceof Uint16Array;
  const bytes = deep ? apart(data) : data;
  const length = bytes.length / height;
  const rows = new Uint8Array(height * (1 + length)); // each row begins with its filter, 0: none
  for (let y = 0; y < height; y++) rows.set(bytes.subarray(y * length, (y + 1) * length), y * (length + 1) + 1);
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, height);
  header.setUint8(8, deep ? 16 : 8);
  header.setUint8(9, channels === 3 ? 2 : 0); // the colour type, as in VALUES
  const zlib = new Blob([rows]).stream().pipeThrough(new CompressionStream("deflate"));
  const parts = [
    new Uint8Array(START),
    ...chunk("IHDR", new Uint8Array(header.buffer)),
    ...chunk("IDAT", new Uint8Array(await new Response(zlib).arrayBuffer())),
    ...chunk("IEND", new Uint8Array()),
  ];
  return new Blob(parts, { type: "image/png" });
}

function apart(values) {
  const bytes = new Uint8Array(2 * values.length);
  for (let i = 0; i < values.length; i++) [bytes[2 * i], bytes[2 * i + 1]] = [values[i] >> 8, values[i] & 255];
  return bytes;
}

function chunk(name, data) {
  const named = new Uint8Array(4 + data.length);
  named.set([...name].map((letter) => letter.charCodeAt(0)));
  named.set(data, 4);
  const ends = [new DataView(new ArrayBuffer(4)), new DataView(new ArrayBuffer(4))];
  ends[0].setUint32(0, data.length);
  ends[1].setUint32(0, crc32(named));
  return [ends[0], named, ends[1]];
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, value) => {
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}
