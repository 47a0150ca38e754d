// TIFF files of microscopes and scanners, which no browser shows: grey and RGB of 8 and 16 bits (TIFF 6.0).

import { Refusal } from "./server.js";

const MOST_PIXELS = 1e8; // the server takes no more in a request, and the memory of a browser ends somewhere
const MOST_PAGES = 1000; // that are counted
const BYTES = { 1: 1, 3: 2, 4: 4 }; // of a value, by the type of a tag: BYTE, SHORT, LONG
const [WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC] = [256, 257, 258, 259, 262];
const [STRIPS, ORIENTATION, SAMPLES, ROWS, STRIP_BYTES, PLANAR] = [273, 274, 277, 278, 279, 284];
const [PREDICTOR, TILE_WIDTH, TILE_HEIGHT, TILES, TILE_BYTES, FORMAT] = [317, 322, 323, 324, 325, 339];
const UNPACK = { 1: (bytes) => bytes, 5: lzw, 8: inflated, 32773: packBits, 32946: inflated };
const COLOURS = { 0: 1, 1: 1, 2: 3 }; // values of a pixel: white is 0, black is 0, RGB

/** Whether the bytes begin as a TIFF does. */
export function isTiff(head) {
  const start = String.fromCharCode(...head.subarray(0, 4));
  return ["II*\0", "MM\0*", "II+\0", "MM\0+"].includes(start); // the last two of more than 4 GB
}

/**
 * The first page: `{ width, height, channels, data, pages }`, the values row by row in a Uint8Array or
 * Uint16Array. Throws a `Refusal` of what is neither grey nor RGB, or is packed in another way.
 */
export async function decodeTiff(blob) {
  const file = new DataView(await blob.arrayBuffer());
  const { tags, pages } = guarded(() => directory(file));
  const one = (tag, otherwise) => tags[tag]?.[0] ?? otherwise;
  const [width, height, channels] = [one(WIDTH, 0), one(HEIGHT, 0), one(SAMPLES, 1)];
  const [depth, packed] = [one(BITS, 1), one(COMPRESSION, 1)];
  const kind = one(PHOTOMETRIC, 1);
  if (COLOURS[kind] !== channels) refuse(`has ${channels} channel(s) of another kind`);
  if (depth !== 8 && depth !== 16) refuse(`has ${depth} bits for a value`);
  if (one(FORMAT, 1) !== 1) refuse("has values with a sign or a fraction");
  if (!(packed in UNPACK)) refuse(`is compressed in another way (${packed})`);
  if (channels > 1 && one(PLANAR, 1) !== 1) refuse("keeps its colours apart");
  if (one(ORIENTATION, 1) !== 1) refuse("does not lie upright");
  if (![1, 2].includes(one(PREDICTOR, 1))) refuse("has values with a fraction");
  if (!(width * height > 0 && width * height <= MOST_PIXELS)) refuse(`has ${width} x ${height} pixels`);

  const tiled = TILES in tags;
  const [across, down] = tiled
    ? [one(TILE_WIDTH, 0), one(TILE_HEIGHT, 0)]
    : [width, Math.min(one(ROWS, height), height)];
  const [offsets, lengths] = [tags[tiled ? TILES : STRIPS] ?? [], tags[tiled ? TILE_BYTES : STRIP_BYTES] ?? []];
  const [columns, rows] = [Math.ceil(width / across), Math.ceil(height / down)];
  if (!(across * down <= 4 * MOST_PIXELS) || offsets.length < columns * rows) damaged();
  const data = new (depth === 8 ? Uint8Array : Uint16Array)(width * height * channels);
  for (let i = 0; i < columns * rows; i++) {
    const [left, top] = [(i % columns) * across, Math.floor(i / columns) * down];
    const height_ = tiled ? down : Math.min(down, height - top); // the last strip may be shorter
    const length = (across * height_ * channels * depth) / 8;
    const from = guarded(() => new Uint8Array(file.buffer, offsets[i], lengths[i] ?? length));
    const bytes = await UNPACK[packed](from, length);
    if (bytes.length < length) damaged();
    const part = values(bytes.subarray(0, length), depth, isLittle(file));
    if (one(PREDICTOR, 1) === 2) summed(part, across * channels, channels);
    for (let y = 0; y < Math.min(height_, height - top); y++) {
      const row = part.subarray(y * across * channels, (y * across + Math.min(across, width - left)) * channels);
      data.set(row, ((top + y) * width + left) * channels);
    }
  }
  if (kind === 0) for (let i = 0; i < data.length; i++) data[i] = ~data[i];
  return { width, height, channels, data, pages };
}

function refuse(what) {
  throw new Refusal(`Of TIFFs this page reads grey and RGB of 8 or 16 bits; this one ${what}: save it as a PNG.`);
}

function damaged() {
  throw new Refusal("The TIFF is damaged or cut short.");
}

function guarded(read) {
  try {
    return read();
  } catch (error) {
    if (error instanceof RangeError) damaged();
    throw error;
  }
}

const isLittle = (file) => file.getUint8(0) === 0x49; // "II"

// The tags of the first page, each a list of numbers, and how many pages there are.
function directory(file) {
  const little = isLittle(file);
  if (file.getUint16(2, little) !== 42) refuse("is made for more than 4 GB");
  const number = {
    1: (at) => file.getUint8(at),
    2: (at) => file.getUint16(at, little),
    4: (at) => file.getUint32(at, little),
  };
  let [at, pages] = [number[4](4), 0];
  const tags = {};
  while (at && pages < MOST_PAGES) {
    const entries = number[2](at);
    for (let i = 0; i < entries && pages === 0; i++) {
      const entry = at + 2 + 12 * i;
      const [size, count] = [BYTES[number[2](entry + 2)], number[4](entry + 4)];
      if (!size || size * count > file.byteLength) continue; // a tag of no use here
      const start = size * count <= 4 ? entry + 8 : number[4](entry + 8);
      tags[number[2](entry)] = Array.from({ length: count }, (_, j) => number[size](start + j * size));
    }
    at = number[4](at + 2 + 12 * entries);
    pages++;
  }
  return { tags, pages };
}

function values(bytes, depth, little) {
  if (depth === 8) return bytes.slice(); // a copy: `summed` changes it
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Uint16Array.from({ length: bytes.length / 2 }, (_, i) => view.getUint16(2 * i, little));
}

// Of each value but the first ones of a row, the difference to the pixel on its left is stored.
function summed(part, length, channels) {
  for (let start = 0; start < part.length; start += length) {
    for (let x = start + channels; x < start + length; x++) part[x] += part[x - channels];
  }
}

async function inflated(bytes, length) {
  const found = new Uint8Array(length); // what comes beyond it is not even inflated
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  let at = 0;
  while (at < length) {
    const { value, done } = await reader.read().catch(damaged);
    if (done) damaged();
    found.set(value.subarray(0, length - at), at);
    at += value.length;
  }
  reader.cancel().catch(() => {});
  return found;
}

function packBits(bytes, length) {
  const found = new Uint8Array(length);
  for (let from = 0, to = 0; to < length && from < bytes.length; ) {
    const head = bytes[from++];
    if (head < 128) {
      const run = bytes.subarray(from, from + Math.min(head + 1, length - to));
      found.set(run, to);
      to += head + 1;
      from += head + 1;
    } else if (head > 128) {
      found.fill(bytes[from++], to, to + 257 - head);
      to += 257 - head;
    }
  }
  return found;
}

// Codes of 9 to 12 bits, the highest bit first; a word is one of the table and one byte more.
function lzw(bytes, length) {
  const [CLEAR, END] = [256, 257];
  const found = new Uint8Array(length);
  const [starts, lengths] = [new Uint32Array(4097), new Uint16Array(4097)]; // of words, in what was found
  let [next, bits, to, last] = [258, 9, 0, -1];
  for (let at = 0, held = 0, buffer = 0; to < length; ) {
    while (held < bits) {
      if (at >= bytes.length) return found.subarray(0, to);
      buffer = ((buffer << 8) | bytes[at++]) & 0xffffff;
      held += 8;
    }
    held -= bits;
    const code = (buffer >>> held) & ((1 << bits) - 1);
    if (code === END) break;
    if (code === CLEAR) {
      [next, bits, last] = [258, 9, -1];
      continue;
    }
    if (code > next || (last < 0 && code > 255)) damaged();
    const start = to;
    if (code < 256) {
      found[to++] = code;
    } else {
      // A word that is being made is the last one and its own first byte, which lies right behind it.
      const [from, count] = code < next ? [starts[code], lengths[code]] : [starts[4096], lengths[4096] + 1];
      for (let i = 0; i < count && to < length; i++) found[to++] = found[from + i];
    }
    if (last >= 0 && next < 4096) {
      [starts[next], lengths[next]] = [starts[4096], lengths[4096] + 1];
      next++;
    }
    [starts[4096], lengths[4096], last] = [start, to - start, code];
    if (next >= (1 << bits) - 1 && bits < 12) bits++;
  }
  return found.subarray(0, to);
}
