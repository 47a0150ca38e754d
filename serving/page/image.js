// The chosen files: what is sent of them, and how they are shown.

import { asPlainPng, decodePng, encodePng, isPng, kindOf } from "./png.js";
import { Refusal } from "./server.js";
import { decodeTiff, isTiff } from "./tiff.js";

const [BLACK, WHITE] = [0.01, 0.997]; // shares of the values below what is shown as black, as white

/**
 * Opens a file: `{ bitmap, exact, sent, note }`. The bitmap is upright, as the model answers, and null where
 * the browser cannot show the file; `exact` gives the values of an image of 16 bits, and is null for others;
 * `sent` is what goes to the server, and `note` says what was changed about it.
 */
export async function open(file) {
  const head = new Uint8Array(await file.slice(0, 26).arrayBuffer().catch(() => {
    throw new Refusal("The file cannot be read.");
  }));
  if (isTiff(head)) return openTiff(file);
  const bitmap = await createImageBitmap(file).catch(() => null);
  const jpeg = { depth: 8, plain: head[0] === 0xff && head[1] === 0xd8 };
  const { depth, plain } = isPng(head) ? kindOf(head) : jpeg;
  const exact = plain && depth === 16 ? () => decodePng(file) : null;
  // Grey and RGB, PNG or JPEG, go to the server byte for byte; of these it takes no other.
  if (plain) return { bitmap, exact, sent: async () => file, note: "" };
  const note = "It was sent as an RGB PNG, without transparency.";
  if (bitmap) return { bitmap, exact, sent: () => asPlainPng(bitmap), note };
  throw new Refusal("This browser cannot read it as an image.");
}

async function openTiff(file) {
  const values = await decodeTiff(file);
  const { width, height, channels, data, pages } = values;
  const deep = data instanceof Uint16Array;
  const shown = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) shown.data[4 * i + c] = data[i * channels + (c % channels)] >> (deep ? 8 : 0);
    shown.data[4 * i + 3] = 255;
  }
  return {
    bitmap: await createImageBitmap(shown),
    exact: deep ? async () => values : null,
    sent: () => encodePng(values),
    note: `It was sent as a PNG of the same values${pages > 1 ? `, the first of ${pages} pages` : ""}.`,
  };
}

/** The image with its contrast stretched, on a canvas, by its values as they are where `exact` gives them. */
export async function stretched(bitmap, exact) {
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.drawImage(bitmap, 0, 0);
  const shown = context.getImageData(0, 0, width, height);
  const values = exact && (await exact());
  if (values && values.width === width && values.height === height) fill(shown.data, values);
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
