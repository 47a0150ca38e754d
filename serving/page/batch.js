// The images in their order, and the one that is with the server: the masks come one after another.

import { sortByClass, tinted } from "./classes.js";
import { open } from "./image.js";
import { objectSizes } from "./objects.js";
import { decodePng } from "./png.js";
import { predict, Refusal, sentence } from "./server.js";

const THUMB = 96; // pixels

/**
 * An image is `{ name, saved, file, state, text, mask, known, classes, thumb }`: its state is "waiting", "running",
 * "done", "failed" or "cancelled"; `text` says more; the mask is a PNG as the server sent it, saved under the name
 * `saved`; `known` are the classes that the model told, `classes` those with their pixels and the `sizes` of their objects.
 */
export class Batch {
  images = [];
  #running = false;
  #abort = new AbortController();

  /**
   * `known()` gives the classes of the served model; `changed(image)` is called after each change, and
   * `ended()` when nothing waits any more.
   */
  constructor({ known, changed, ended }) {
    this.known = known;
    this.changed = changed;
    this.ended = ended;
  }

  /** Adds files `{ name, file }`. */
  add(files) {
    const added = files.map(({ name, file }) => {
      const saved = `${name.replaceAll("/", "_").replace(/\.[^.]*$/, "")}-mask.png`;
      return { name, saved, file, state: "waiting", text: "" };
    });
    this.images.push(...added);
    added.forEach(this.changed);
    this.#run();
    return added;
  }

  /** Ends the image that is with the server, and those that wait. */
  cancel() {
    this.#abort.abort();
    for (const image of this.images) if (image.state === "waiting") this.#set(image, "cancelled", "Cancelled.");
  }

  /** Asks again for what failed or was cancelled. */
  again() {
    for (const image of this.images) {
      if (image.state === "failed" || image.state === "cancelled") this.#set(image, "waiting", "");
    }
    this.#run();
  }

  /** Forgets all images. */
  clear() {
    this.cancel();
    this.images = [];
  }

  count(...states) {
    return this.images.filter(({ state }) => states.includes(state)).length;
  }

  #set(image, state, text) {
    Object.assign(image, { state, text });
    this.changed(image);
  }

  async #run() {
    if (this.#running) return;
    this.#running = true;
    for (let image; (image = this.images.find(({ state }) => state === "waiting")); ) {
      this.#abort = new AbortController();
      this.#set(image, "running", "The server is at it …");
      try {
        await this.#segment(image, this.#abort.signal);
      } catch (error) {
        if (this.#abort.signal.aborted) this.#set(image, "cancelled", "Cancelled.");
        else this.#set(image, "failed", sentence(error));
      }
    }
    this.#running = false;
    this.ended();
  }

  async #segment(image, signal) {
    const { bitmap, sent, note } = await open(image.file);
    try {
      await this.#answered(image, signal, bitmap, sent, note);
    } finally {
      bitmap?.close(); // its memory is freed at once
    }
  }

  async #answered(image, signal, bitmap, sent, note) {
    image.thumb = thumbnail(bitmap);
    this.changed(image);
    const known = await this.known();
    const started = performance.now();
    const [mask] = await predict("serving_default", await sent(), signal, (seconds) => {
      image.text = `The server is busy: asking again in ${seconds} s.`;
      this.changed(image);
    });
    const seconds = (performance.now() - started) / 1000;
    const decoded = await decodePng(mask);
    if (!decoded) throw new Refusal("This model answers with something else than a mask.");
    const sorted = sortByClass(decoded, known);
    image.thumb = thumbnail(bitmap, tinted(sorted));
    const sizes = objectSizes(sorted);
    const classes = sorted.classes.map((found, i) => ({ ...found, sizes: sizes[i] }));
    Object.assign(image, { mask, known, classes });
    const size = `${sorted.width} × ${sorted.height} pixels`;
    this.#set(image, "done", `${size} in ${seconds.toFixed(2)} s. ${note}`.trim());
  }
}

function thumbnail(bitmap, tint) {
  if (!bitmap && !tint) return undefined;
  const { width, height } = bitmap ?? tint;
  const canvas = document.createElement("canvas");
  const scale = Math.max(THUMB / width, THUMB / height);
  canvas.width = canvas.height = THUMB;
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  const place = [(THUMB - width * scale) / 2, (THUMB - height * scale) / 2, width * scale, height * scale];
  if (bitmap) context.drawImage(bitmap, ...place);
  context.globalAlpha = bitmap ? 0.5 : 1;
  if (tint) context.drawImage(tint, ...place);
  return canvas;
}
