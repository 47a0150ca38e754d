// What is shown of one image: its layers, its legend, and what a person sets about them.

import { heat, heatRamp, sortByClass, tinted } from "./classes.js";
import { open, stretched } from "./image.js";
import { objectsOf, SMALLEST } from "./objects.js";
import { decodePng } from "./png.js";
import { predict, Refusal, sentence } from "./server.js";
import { Viewer } from "./viewer.js";

const element = (id) => document.getElementById(id);
const PROBABILITIES = "probabilities";
const LABELS = { overlay: "Overlay", image: "Image", mask: "Mask", probabilities: "Probabilities" };

export class Result {
  image = null;
  #served;
  #viewer;
  #shown = {}; // of the image: bitmap, exact, sent, sorted, stretched, tint, maps (PNGs), map (that of mapOf)
  #turn = 0; // what a later image has overtaken is not shown
  #drawing = 0; // nor what a later setting has overtaken
  #hidden = new Set(); // names of classes
  #opacities = { overlay: 45, probabilities: 80 }; // per cent
  #contrast = null; // what a person chose; until then only images of 16 bits are stretched
  #abort = new AbortController();

  /**
   * `served()` gives the served version, its classes and signatures, or null; `counted()` is called when a person
   * sets which objects count.
   */
  constructor(served, counted) {
    this.#served = served;
    this.#viewer = new Viewer(element("view"), {
      zoomed: (percent) => (element("zoom").textContent = `${percent.toFixed(percent < 10 ? 1 : 0)} %`),
      pointed: (x, y) => this.#point(x, y),
    });
    element("tools").addEventListener("input", (event) => {
      if (event.target.id === "contrast") this.#contrast = event.target.checked;
      if (event.target.id === "opacity") this.#opacities[this.#view] = event.target.value;
      this.#draw();
    });
    element("least").value = SMALLEST;
    element("least").addEventListener("input", () => {
      this.#legend();
      counted();
    });
    element("in").addEventListener("click", () => this.#viewer.zoom(1.25));
    element("out").addEventListener("click", () => this.#viewer.zoom(0.8));
    element("fit").addEventListener("click", () => this.#viewer.fit());
    element("actual").addEventListener("click", () => this.#viewer.actual());
    heatRamp(element("ramp"));
  }

  /** Shows an image of the batch, with its mask once there is one; null: nothing. */
  async show(image) {
    const turn = ++this.#turn;
    this.#abort.abort();
    this.#abort = new AbortController();
    this.image = image;
    element("result").hidden = !image;
    if (!image) return this.#forget();
    element("title").textContent = image.name;
    this.#say(image.text, image.state === "failed");
    const opened = await open(image.file).catch(() => ({ bitmap: null }));
    const decoded = image.mask ? await decodePng(image.mask) : null;
    if (turn !== this.#turn) return opened.bitmap?.close();
    this.#forget();
    const sorted = decoded && sortByClass(decoded, image.known);
    this.#shown = { ...opened, sorted };
    this.#legend();
    this.#save();
    await this.#draw();
  }

  #forget() {
    this.#viewer.clear();
    this.#shown.bitmap?.close();
    this.#shown = {};
    URL.revokeObjectURL(element("save").href);
  }

  get #view() {
    return document.querySelector("input[name=view]:checked").value;
  }

  // Which settings there are for what is shown.
  #controls() {
    const { bitmap, sorted } = this.#shown;
    const offered = this.#served()?.signatures.includes(PROBABILITIES) ?? false;
    for (const radio of document.querySelectorAll("input[name=view]")) {
      radio.disabled = !sorted && radio.value !== "image";
      radio.parentElement.hidden = radio.value === PROBABILITIES && !offered;
    }
    const view = this.#view;
    element("stage").hidden = element("tools").hidden = element("keys").hidden = !sorted && !bitmap;
    element("for-class").hidden = element("for-from").hidden = element("scale").hidden = view !== PROBABILITIES;
    element("for-opacity").hidden = view !== "overlay" && view !== PROBABILITIES;
    element("for-contrast").hidden = view === "mask" || !bitmap;
    element("opacity").value = this.#opacities[view] ?? 100;
    element("contrast").checked = this.#contrast ?? Boolean(this.#shown.exact);
    document.querySelector("output[for=from]").textContent = Number(element("from").value).toFixed(2);
    document.querySelector("output[for=opacity]").textContent = `${element("opacity").value} %`;
    element("view").setAttribute("aria-label", `${LABELS[view]} of ${this.image.name}`);
    return view;
  }

  async #draw() {
    const drawing = ++this.#drawing;
    const { signal } = this.#abort;
    const [shown, view] = [this.#shown, this.#controls()];
    const { bitmap, sorted } = shown;
    if (!bitmap && !sorted) return;
    const { width, height } = sorted ?? bitmap;
    const layers = [];
    const opacity = element("opacity").value / 100;
    try {
      if (bitmap && view !== "mask") layers.push({ source: await this.#picture(), alpha: 1 });
      if (sorted && view === "overlay") {
        layers.push({ source: (shown.tint ??= tinted(sorted, this.#hidden)), alpha: opacity });
      }
      if (sorted && view === "mask") layers.push({ source: tinted(sorted, this.#hidden, true), alpha: 1 });
      if (sorted && view === PROBABILITIES) {
        const map = await this.#map(signal);
        if (shown !== this.#shown) return;
        layers.push({ source: heat(map, Number(element("from").value)), alpha: opacity });
      }
    } catch (error) {
      if (shown !== this.#shown || signal.aborted) return;
      this.#say(sentence(error), true);
    }
    if (drawing === this.#drawing && shown === this.#shown) this.#viewer.show(width, height, layers);
  }

  async #picture() {
    const { bitmap, exact } = this.#shown;
    if (!element("contrast").checked) return bitmap;
    return (this.#shown.stretched ??= await stretched(bitmap, exact));
  }

  // The probabilities of the chosen class, asked for once for each image.
  async #map(signal) {
    const [shown, image] = [this.#shown, this.image];
    const busy = (seconds) => this.#say(`The server is busy: asking again in ${seconds} s.`);
    if (!shown.maps) {
      this.#say("Asking for the probabilities …");
      shown.maps = shown.sent().then((sent) => predict(PROBABILITIES, sent, signal, busy));
      shown.maps.catch(() => (shown.maps = null)); // the next try asks again
    }
    const maps = await shown.maps;
    if (shown !== this.#shown) return null;
    this.#say(image.text);
    const options = element("class");
    const names = maps.map((_, i) => image.known[i]?.name ?? `class ${i + 1}`);
    if ([...options.options].map(({ text }) => text).join("\n") !== names.join("\n")) {
      options.replaceChildren(...names.map((name, i) => new Option(name, i)));
      options.value = Math.min(1, names.length - 1); // the first is the background as a rule
    }
    const of = options.value;
    if (shown.mapOf === of) return shown.map;
    const map = await decodePng(maps[of]);
    if (!map) throw new Refusal("This model answers with something else than maps of probabilities.");
    if (options.value === of) Object.assign(shown, { map, mapOf: of });
    return map;
  }

  #say(text, bad = false) {
    element("said").textContent = text;
    element("said").className = bad ? "bad" : "";
  }

  /** The number of pixels from which on an object counts. */
  get least() {
    return Math.max(1, element("least").valueAsNumber || SMALLEST);
  }

  #legend() {
    const classes = this.image?.classes ?? [];
    element("legend").hidden = element("for-least").hidden = !classes.length;
    element("legend").tBodies[0].replaceChildren(...classes.map((found) => this.#row(found)));
  }

  #row({ name, colour, background, count, share, sizes }) {
    const [row, head, label, swatch, box] = ["tr", "th", "label", "i", "input"].map((tag) =>
      document.createElement(tag));
    head.scope = "row";
    swatch.style.background = `rgb(${colour.join(" ")})`;
    if (!background) {
      box.type = "checkbox";
      box.checked = !this.#hidden.has(name);
      box.addEventListener("input", () => {
        if (box.checked) this.#hidden.delete(name);
        else this.#hidden.add(name);
        this.#shown.tint = null;
        this.#draw();
      });
      label.append(box, " ");
    }
    label.append(swatch, name);
    head.append(label);
    row.append(head);
    const objects = background ? "" : objectsOf(sizes, this.least).toLocaleString("en");
    for (const text of [count.toLocaleString("en"), (100 * share).toFixed(2), objects]) {
      row.insertCell().textContent = text;
    }
    return row;
  }

  #save() {
    const save = element("save");
    save.hidden = !this.image.mask;
    if (!this.image.mask) return;
    save.href = URL.createObjectURL(this.image.mask);
    save.download = this.image.saved;
  }

  // What is under the pointer.
  #point(x, y) {
    const { sorted, map } = this.#shown;
    const parts = [];
    if (x !== undefined) {
      parts.push(`x ${x}, y ${y}`);
      if (sorted) parts.push(sorted.classes[sorted.indices[y * sorted.width + x]].name);
      if (map && this.#view === PROBABILITIES) {
        parts.push((map.data[y * map.width + x] / (map.data instanceof Uint16Array ? 65535 : 255)).toFixed(3));
      }
    }
    element("at").textContent = parts.join(": ");
  }
}
