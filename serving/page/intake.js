// Where images come from: chosen files and folders, what is dropped and what is pasted.

const READABLE = /\.(png|jpe?g|jpe|jfif|webp|avif|gif|bmp|tiff?)$/i;

/**
 * Calls `take(files, others)` whenever there are files: each `{ name, file }`, a name with the folders in which
 * it lies. `others` counts the files of a folder that are no images by their names, which are left out; files
 * that are chosen one by one are all taken.
 */
export function listen({ file, folder, drop }, take) {
  file.addEventListener("change", () => {
    take([...file.files].map((each) => ({ name: each.name, file: each })), 0);
    file.value = ""; // the same file can be chosen again
  });
  folder.addEventListener("change", () => {
    const found = [...folder.files].map((each) => ({ name: each.webkitRelativePath || each.name, file: each }));
    folder.value = "";
    sorted(found, take);
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) drop.classList.remove("over");
  });
  document.addEventListener("drop", async (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    // All entries are asked for at once: the list is empty after the event.
    const items = [...event.dataTransfer.items].filter((item) => item.kind === "file");
    const entries = items.map((item) => [item.webkitGetAsEntry?.(), item.getAsFile()]);
    const alone = entries.filter(([entry, each]) => !entry?.isDirectory && each);
    const inside = (await Promise.all(entries.map(([entry]) => (entry?.isDirectory ? within(entry) : [])))).flat();
    const single = alone.map(([, each]) => ({ name: each.name, file: each }));
    if (inside.length) sorted(inside, (found, others) => take([...single, ...found], others));
    else take(single, 0);
  });
  document.addEventListener("paste", (event) => {
    const files = [...event.clipboardData.files];
    if (files.length) take(files.map((each) => ({ name: each.name, file: each })), 0);
  });
}

function sorted(found, take) {
  const shown = found.filter(({ name }) => !name.split("/").some((part) => part.startsWith(".")));
  const images = shown.filter(({ name }) => READABLE.test(name));
  images.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
  take(images, shown.length - images.length);
}

// All files within a dropped folder and its folders.
async function within(folder) {
  const reader = folder.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)).catch(() => []);
    if (!some.length) return found; // it gives a hundred at a time
    for (const entry of some) {
      if (entry.isDirectory) found.push(...(await within(entry)));
      else {
        const file = await new Promise((resolve) => entry.file(resolve, () => resolve(null)));
        if (file) found.push({ name: entry.fullPath.replace(/^\//, ""), file });
      }
    }
  }
}
