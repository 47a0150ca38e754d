// The chosen files: what is sent of them, and how they are shown.

import { asPlainPng, decodePng, isPng, kindOf } from "./png.js";
import { Refusal } from "./server.js";

const [BLACK, WHITE] = [0.01, 0.997]; // shares of the values below what is shown as black, as white

/**
 * Opens a file: `{ bitmap, deep, sent, note }`. The bitmap is upright, as the model answers, and null where
 * the browser cannot show the file; `deep` says that its values have 16 bits; `sent` is what goes to the
 * server, and `note` says what was changed about it.
 */
export async function open(file) {
  const head = new Uint8Array(await file.slice(0, 26).arrayBuffer().catch(() => {
    throw new Refusal("The file cannot be read.");
  }));
  const bitmap = await createImageBitmap(file).catch(() => null);
  const jpeg = { depth: 8, plain: head[0] === 0xff && head[1] === 0xd8 };
  const { depth, plain } = isPng(head) ? kindOf(head) : jpeg;
  const deep = plain && depth === 16;
  // Grey and RGB, PNG or JPEG, go to the server byte for byte; of these it takes no other.
  if (plain) return { bitmap, deep, sent: async () => file, note: "" };
  const note = "It was sent as an RGB PNG, without transparency.";
  if (bitmap) return { bitmap, deep, sent: () => asPlainPng(bitmap), note };
  if (isTiff(head)) {
    throw new Refusal("This is a TIFF, which this page cannot read: save it as a PNG of 8 or 16 bits.");
  }
  throw new Refusal("This browser cannot read it as an image.");
}

function isTiff(head) {
  const start = String.fromCharCode(...head.subarray(0, 4));
  return ["II*\0", "MM\0*", "II+\0", "MM\0+"].includes(start); // the last two of more than 4 GB
}

/** The image with its contrast stretched, on a canvas; of 16 bits all are looked at. */
export async function stretched(file, bitmap, deep) {
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.drawImage(bitmap, 0, 0);
  const shown = context.getImageData(0, 0, width, height);
  const exact = deep ? await decodePng(file) : null;
  if (exact && exact.width === width && exact.height === height) fill(shown.data, exact);
  else fill(shown.data, { channels: 4, data: shown.data });
  context.putImageData(shown, 0, 0);
  return context.canvas;
}

// Red, green and blue are stretched alike, by what is found in all three of them.
function fill(target, { channels, data }) {
  const counts = new Uint32Array(data instanceof Uint16Array ? 65536 : 256);
  const colours = Math.min(channels, 3);
  for (let i = 0; i < data.length; i += channels) for (let c = 0; c < colours; c++) counts[data[i + c]]++;
  const [low, high] = [BLACK, WHITE].map((share) => percentile(counts, share));
  const table = Uint8Array.from(counts, (_, value) =>
    Math.round(255 * Math.min(Math.max((value - low) / Math.max(high - low, 1), 0), 1)));
  for (let i = 0, to = 0; i < data.length; i += channels, to += 4) {
    for (let c = 0; c < 3; c++) target[to + c] = table[data[i + (colours === 3 ? c : 0)]];
  }
}

function percentile(counts, share) {
  let left = share * counts.reduce((sum, count) => sum + count, 0);
  for (let value = 0; value < counts.length; value++) {
    left -= counts[value];
    if (left <= 0) return value;
  }
  return counts.length - 1;
}
