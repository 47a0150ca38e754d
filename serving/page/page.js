// The page: what is chosen goes through the batch, what comes back is listed and shown.

import { Batch } from "./batch.js";
import { listen } from "./intake.js";
import { List } from "./list.js";
import { objectsOf } from "./objects.js";
import { Result } from "./result.js";
import { describe, model } from "./server.js";
import { tableOf } from "./table.js";

const element = (id) => document.getElementById(id);
let served = null; // the version that was told last, its classes and signatures
let chosen = false; // whether a person chose what is shown

function say(text) {
  element("message").textContent = text;
}

async function tellServed() {
  try {
    served = await describe();
    element("served").textContent = served ? `${model}, version ${served.version}` : `${model}: no version yet`;
  } catch (error) {
    element("served").textContent = error.message;
  }
}

const result = new Result(() => served, () => {
  if (result.image?.classes) say(`${result.image.name}: ${found(result.image)}.`);
});
const list = new List(element("list"), (image) => {
  chosen = true;
  select(image);
});
const batch = new Batch({
  // A version that was pushed meanwhile may have other classes.
  known: async () => {
    await tellServed();
    return served?.classes ?? [];
  },
  changed,
  ended: () => {
    tellTotals();
    if (batch.images.length > 1) say(`${element("message").textContent} All ended: ${element("count").textContent}.`);
    tellServed();
  },
});

// The classes of an image in words: "nucleus 11.8 %, 31 objects".
function found(image) {
  const classes = image.classes.filter(({ background }) => !background);
  return classes.map(({ name, share, sizes }) => {
    const objects = objectsOf(sizes, result.least);
    return `${name} ${(100 * share).toFixed(1)} %, ${objects} ${objects === 1 ? "object" : "objects"}`;
  }).join("; ");
}

function changed(image) {
  if (!batch.images.includes(image)) return; // the list was cleared
  list.update(image);
  tellTotals();
  const ended = batch.count("done", "failed");
  if (image.state === "done") {
    say(`${ended} of ${batch.images.length}: ${image.name}: ${found(image)}.`);
  } else if (image.state === "failed") say(`${ended} of ${batch.images.length}: ${image.name}: ${image.text}`);
  if (image.state === "done" && !chosen && (!result.image?.mask || result.image === image)) select(image);
  else if (image === result.image && image.state !== "running") result.show(image);
}

function select(image) {
  list.select(image);
  result.show(image);
}

function tellTotals() {
  const [all, done, failed] = [batch.images.length, batch.count("done"), batch.count("failed")];
  const [left, cancelled] = [batch.count("waiting", "running"), batch.count("cancelled")];
  element("work").hidden = all === 0;
  document.body.classList.toggle("working", all > 0);
  element("bar").value = all ? 1 - left / all : 0;
  const parts = [`${done} of ${all} done`];
  if (failed) parts.push(`${failed} refused`);
  if (cancelled) parts.push(`${cancelled} cancelled`);
  element("count").textContent = parts.join(", ");
  element("cancel").hidden = left === 0;
  element("again").hidden = left > 0 || failed + cancelled === 0;
  element("save-all").hidden = done < 2;
  element("save-table").hidden = done < 1;
  element("clear").hidden = left > 0;
}

listen({ file: element("file"), folder: element("folder"), drop: element("drop") }, (files, others) => {
  const passed = others ? ` Files left out as they are no images: ${others}.` : "";
  if (!files.length) return say(`There was no image.${passed}`);
  chosen = false;
  const added = batch.add(files);
  if (result.image && batch.count("done")) chosen = true; // what is looked at stays
  say(`${added.length} ${added.length === 1 ? "image was" : "images were"} added.${passed}`);
});
element("cancel").addEventListener("click", () => {
  batch.cancel();
  say("Cancelled.");
  element("again").focus();
});
element("again").addEventListener("click", () => {
  batch.again();
  element("cancel").focus();
});
element("clear").addEventListener("click", () => {
  batch.clear();
  list.clear();
  result.show(null);
  tellTotals();
  say("The list is empty.");
  element("file").focus();
});
element("save-all").addEventListener("click", async () => {
  const done = batch.images.filter(({ mask }) => mask);
  for (const image of done) {
    save(image.mask, image.saved);
    await new Promise((resolve) => setTimeout(resolve, 200)); // browsers drop downloads that come at once
  }
  say(`${done.length} masks were saved.`);
});
element("save-table").addEventListener("click", () => {
  const done = batch.images.filter(({ mask }) => mask);
  save(new Blob([tableOf(done, result.least)], { type: "text/csv" }), "classes.csv");
  say(`The table has ${done.length} ${done.length === 1 ? "image" : "images"}.`);
});

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000); // the browser may still be reading it
}
tellServed();
