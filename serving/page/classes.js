// The classes of a mask: their names, colours and pixels; and the pictures of masks and probabilities.

import { Refusal } from "./server.js";

// For models that tell no colours: Okabe and Ito 2008, then some of Krzywinski's, told apart whatever eyes one has.
const PALETTE = [[230, 159, 0], [86, 180, 233], [0, 158, 115], [240, 228, 66], [0, 114, 178], [213, 94, 0],
  [204, 121, 167], [164, 1, 34], [104, 2, 63], [0, 252, 207], [0, 60, 134], [0, 141, 249]];
const MOST = 256; // classes that a model can have
const VIRIDIS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]]; // 0, 1/4, ... 1

/**
 * Sorts the pixels of a decoded mask by class: `{ width, height, classes, indices }`, a class being
 * `{ name, colour, background, count, share }`, and an index the place of a pixel's class among them.
 * Masks of grey values from 0 to 65535 and masks in colour are understood.
 *
 * `told` are the classes of the model, which all appear, of no pixel as well. A model that tells none gets
 * one class for each value of this mask, the lowest of which is taken for the background.
 */
export function sortByClass({ width, height, channels, data }, told) {
  const places = new Map(told.map((known, place) => [keyOf(known.value), place]));
  const counts = new Array(told.length).fill(0);
  const indices = new Uint8Array(width * height);
  let [last, place] = [-1, 0];
  for (let i = 0, from = 0; i < indices.length; i++, from += channels) {
    const key = channels === 3 ? (data[from] << 16) | (data[from + 1] << 8) | data[from + 2] : data[from];
    if (key !== last) {
      last = key;
      place = places.get(key);
      if (place === undefined) {
        place = places.size;
        if (place === MOST) throw new Refusal("This model answers with an image of too many values for a mask.");
        places.set(key, place);
        counts.push(0);
      }
    }
    counts[place]++;
    indices[i] = place;
  }
  const keys = [...places.keys()];
  const classes = keys.map((key, i) => described(told[i], key, channels === 3, counts[i] / indices.length, counts[i]));
  if (told.length) return { width, height, classes: coloured(classes), indices };
  const order = keys.map((_, i) => i).sort((a, b) => keys[a] - keys[b]);
  const rank = new Uint8Array(keys.length);
  order.forEach((from, to) => (rank[from] = to));
  for (let i = 0; i < indices.length; i++) indices[i] = rank[indices[i]];
  const sorted = order.map((from) => classes[from]);
  sorted[0].background = true;
  return { width, height, classes: coloured(sorted), indices };
}

function keyOf(value) {
  return Array.isArray(value) ? (value[0] << 16) | (value[1] << 8) | value[2] : value;
}

function described(known, key, inColour, share, count) {
  const own = inColour ? [key >> 16, (key >> 8) & 255, key & 255] : null;
  const unknown = inColour ? `colour #${key.toString(16).padStart(6, "0")}` : `value ${key}`;
  return {
    name: known?.name ?? unknown,
    colour: own ?? known?.color ?? null,
    background: known?.background ?? false,
    count,
    share,
  };
}

function coloured(classes) {
  const first = classes[0]?.background ? 1 : 0;
  return classes.map((found, i) => ({
    ...found,
    colour: found.colour ?? (found.background ? [0, 0, 0] : PALETTE[(i - first) % PALETTE.length]),
  }));
}

/** The classes in their colours; those named in `hidden` are transparent, and the background unless it is `opaque`. */
export function tinted({ width, height, classes, indices }, hidden = new Set(), opaque = false) {
  return painted(width, height, indices, classes.map(({ background, colour, name }) =>
    (background && !opaque) || hidden.has(name) ? 0 : word(colour)));
}

/** Probabilities of one class as a heat map, transparent where they are below `from` (0 to 1). */
export function heat({ width, height, data }, from) {
  const most = data instanceof Uint16Array ? 65535 : 255;
  const colours = Uint32Array.from({ length: 256 }, (_, i) => word(heatColour(i / 255)));
  const table = Uint32Array.from({ length: most + 1 }, (_, value) =>
    value < from * most ? 0 : colours[Math.round((255 * value) / most)]);
  return painted(width, height, data, table);
}

/** Draws the colours of the heat map, from 0 to 1, into a canvas of 256 x 1 pixels. */
export function heatRamp(canvas) {
  const ramp = { width: 256, height: 1, data: Uint8Array.from({ length: 256 }, (_, i) => i) };
  canvas.getContext("2d").drawImage(heat(ramp, 0), 0, 0);
}

function heatColour(share) {
  const at = share * (VIRIDIS.length - 1);
  const low = Math.min(Math.floor(at), VIRIDIS.length - 2);
  return VIRIDIS[low].map((value, c) => Math.round(value + (at - low) * (VIRIDIS[low + 1][c] - value)));
}

function painted(width, height, values, table) {
  const canvas = new OffscreenCanvas(width, height);
  const image = new ImageData(width, height);
  const words = new Uint32Array(image.data.buffer);
  for (let i = 0; i < words.length; i++) words[i] = table[values[i]];
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

// Red, green and blue as a canvas stores them: one little-endian word, opaque.
function word([red, green, blue]) {
  return (0xff000000 | (blue << 16) | (green << 8) | red) >>> 0;
}
