// The table of a batch: a row for each class of each image, as CSV (RFC 4180).

import { objectsOf } from "./objects.js";

const COLUMNS = ["image", "class", "pixels", "percent", "objects", "min_object_size"];

/** The text of the table; `least` is the number of pixels from which on an object counts. */
export function tableOf(images, least) {
  const rows = images.flatMap(({ name, classes }) =>
    classes.map((found) => [name, found.name, found.count, (100 * found.share).toFixed(4),
      found.background ? "" : objectsOf(found.sizes, least), least]));
  return [COLUMNS, ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

function cell(value) {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
