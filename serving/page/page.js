// The page asks the server that it came from, as any other client would, and draws what comes back.
"use strict";

const model = document.querySelector('meta[name="model"]').content;
const address = `v1/models/${encodeURIComponent(model)}`;
const element = (id) => document.getElementById(id);
const [drop, file, message, result] = ["drop", "file", "message", "result"].map(element);
// Okabe and Ito 2008, then some of Krzywinski's, told apart whatever eyes one has; those of unet/images/display.py.
const COLOURS = [[230, 159, 0], [86, 180, 233], [0, 158, 115], [240, 228, 66], [0, 114, 178], [213, 94, 0],
  [204, 121, 167], [164, 1, 34], [104, 2, 63], [0, 252, 207], [0, 60, 134], [0, 141, 249]];
let latest = 0; // an answer that a newer image has overtaken is not shown
let painted = null;

class Refusal extends Error {}

function say(text, bad = false) {
  message.textContent = text;
  message.hidden = !text;
  message.className = bad ? "bad" : "";
}

async function tellVersion() {
  try {
    const states = (await (await fetch(address)).json()).model_version_status;
    const served = states.find((state) => state.state === "AVAILABLE");
    element("served").textContent = served ? `${model}, version ${served.version}` : `${model}: no version yet`;
  } catch {
    element("served").textContent = "The server does not answer.";
  }
}

// ---- The image ----

// Grey and RGB, PNG or JPEG, go to the server byte for byte; of these it takes no other.
function isAccepted(bytes) {
  const png = [0x89, 0x50, 0x4e, 0x47].every((byte, i) => bytes[i] === byte);
  const jpeg = bytes[0] === 0xff && bytes[1] === 0xd8;
  return (png && (bytes[25] === 0 || bytes[25] === 2)) || jpeg;
}

// What the browser shows, as an RGB PNG: for palettes, transparency, WebP and whatever else it can read.
async function asPlainPng(bitmap) {
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff"; // what is transparent lies on white
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  const rows = new Uint8Array(height * (1 + 3 * width)); // each row begins with its filter, 0: none
  for (let y = 0, from = 0, to = 0; y < height; y++) {
    to++;
    for (let x = 0; x < width; x++, from += 4, to += 3) rows.set(data.subarray(from, from + 3), to);
  }
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, height);
  header.setUint16(8, 0x0802); // 8 bits, RGB
  const zlib = new Blob([rows]).stream().pipeThrough(new CompressionStream("deflate"));
  const parts = [
    new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    ...chunk("IHDR", new Uint8Array(header.buffer)),
    ...chunk("IDAT", new Uint8Array(await new Response(zlib).arrayBuffer())),
    ...chunk("IEND", new Uint8Array()),
  ];
  return new Blob(parts, { type: "image/png" });
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

function base64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(new Refusal("The file cannot be read."));
    reader.readAsDataURL(blob);
  });
}

// ---- The answer ----

async function askForMask(blob) {
  let response;
  try {
    response = await fetch(`${address}:predict`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ instances: [{ b64: await base64(blob) }] }),
    });
  } catch (error) {
    throw error instanceof Refusal ? error : new Refusal("The server does not answer.");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) {
    const reason = answer.error ?? `status ${response.status}`;
    const damaged = /^Invalid (PNG|JPEG) data/.test(reason) ? "the file is damaged or cut short: " : "";
    throw new Refusal(`The server refuses it: ${damaged}${reason}.`);
  }
  const mask = answer.predictions?.[0]?.b64;
  if (!mask) throw new Refusal("This model answers with something else than an image.");
  return new Blob([Uint8Array.from(atob(mask), (letter) => letter.charCodeAt(0))], { type: "image/png" });
}

function pixels(bitmap) {
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height);
}

// Colours of the classes. Values of a mask may be anything, 0 and 1 as well as 0 and 255, so each value that
// occurs gets a colour that can be seen; the lowest one is the background. Masks in colour keep theirs.
function paint(mask) {
  const words = new Uint32Array(mask.data.buffer);
  const counts = new Map();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  const values = [...counts.keys()].sort((a, b) => (a & 255) - (b & 255) || a - b);
  const inColour = values.some((v) => (v & 255) !== ((v >> 8) & 255) || (v & 255) !== ((v >> 16) & 255));
  const classes = values.map((value, i) => {
    const own = [value & 255, (value >> 8) & 255, (value >> 16) & 255];
    const tint = inColour ? own : COLOURS[(i + COLOURS.length - 1) % COLOURS.length];
    return {
      name: inColour ? `colour ${i + 1}` : `value ${value & 255}`,
      share: counts.get(value) / words.length,
      clear: i === 0,
      tint,
      colour: inColour ? own : i === 0 ? [0, 0, 0] : values.length === 2 ? [255, 255, 255] : tint,
    };
  });
  const index = new Map(values.map((value, i) => [value, i]));
  const shown = new ImageData(mask.width, mask.height);
  const tint = new ImageData(mask.width, mask.height);
  const [shownWords, tintWords] = [shown, tint].map((image) => new Uint32Array(image.data.buffer));
  const [ofMask, ofTint] = ["colour", "tint"].map((key) => classes.map((found) => word(found[key])));
  for (let i = 0; i < words.length; i++) {
    const found = index.get(words[i]);
    shownWords[i] = ofMask[found];
    if (!classes[found].clear) tintWords[i] = ofTint[found];
  }
  return { classes, shown, tint };
}

// Red, green and blue as a canvas stores them: one little-endian word, opaque.
function word([red, green, blue]) {
  return (0xff000000 | (blue << 16) | (green << 8) | red) >>> 0;
}

function fit(id, width, height) {
  const canvas = element(id);
  [canvas.width, canvas.height] = [width, height];
  canvas.className = width < 300 ? "small" : "";
  return canvas.getContext("2d");
}

async function show(bitmap, maskBlob, name) {
  const mask = await createImageBitmap(maskBlob, { colorSpaceConversion: "none" });
  const { width, height } = mask;
  painted = { bitmap, ...paint(pixels(mask)) };
  fit("image", width, height).drawImage(bitmap, 0, 0, width, height);
  fit("mask", width, height).putImageData(painted.shown, 0, 0);
  painted.tint = await createImageBitmap(painted.tint);
  drawOverlay();
  element("image").setAttribute("aria-label", `The image ${name}, ${width} by ${height} pixels`);
  element("mask").setAttribute("aria-label", `Its mask: ${painted.classes.map(percent).join(", ")}`);
  element("overlay").setAttribute("aria-label", "The mask over the image");
  element("legend").replaceChildren(...painted.classes.map((found) => {
    const item = document.createElement("li");
    const swatch = document.createElement("i");
    swatch.style.background = found.clear ? "transparent" : `rgb(${found.tint})`;
    item.append(swatch, percent(found));
    return item;
  }));
  URL.revokeObjectURL(element("save").href);
  element("save").href = URL.createObjectURL(maskBlob);
  element("save").download = `${name.replace(/\.[^.]*$/, "")}-mask.png`;
  result.hidden = false;
  document.body.classList.add("shown");
}

function percent(found) {
  return `${found.name}: ${(100 * found.share).toFixed(1)} %`;
}

function drawOverlay() {
  const { width, height } = painted.shown;
  const context = fit("overlay", width, height);
  context.drawImage(painted.bitmap, 0, 0, width, height);
  context.globalAlpha = element("strength").value / 100;
  context.drawImage(painted.tint, 0, 0);
}

async function segment(chosen) {
  const turn = ++latest;
  say(`Asking for the mask of ${chosen.name} …`);
  result.classList.add("old");
  try {
    const bitmap = await createImageBitmap(chosen).catch(() => null); // upright, as the model answers
    const plain = isAccepted(new Uint8Array(await chosen.slice(0, 26).arrayBuffer()));
    if (!bitmap && !plain) throw new Refusal("This browser cannot read it as an image.");
    const started = performance.now();
    const mask = await askForMask(plain ? chosen : await asPlainPng(bitmap));
    const seconds = (performance.now() - started) / 1000;
    if (turn !== latest) return;
    await show(bitmap, mask, chosen.name);
    result.classList.remove("old");
    const how = plain ? "" : " It was sent as an RGB PNG, without transparency.";
    say(`${chosen.name}: ${bitmap.width} × ${bitmap.height} pixels in ${seconds.toFixed(2)} s.${how}`);
  } catch (error) {
    if (turn !== latest) return;
    result.hidden = true;
    document.body.classList.remove("shown");
    const reason = error instanceof Refusal ? "" : "Something went wrong on this page: ";
    say(`${chosen.name}: ${reason}${error.message}`, true);
  }
  tellVersion();
}

file.addEventListener("change", () => {
  if (file.files[0]) segment(file.files[0]);
  file.value = ""; // the same file can be chosen again
});
element("strength").addEventListener("input", drawOverlay);
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) drop.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  if (event.dataTransfer.files[0]) segment(event.dataTransfer.files[0]);
  else say("That was not a file.", true);
});
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files[0]) segment(event.clipboardData.files[0]);
});
tellVersion();
