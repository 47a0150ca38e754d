// The objects of a mask: the connected parts of each class, counted as `predict --objects` counts them.

/** Pixels of the smallest object that counts until a person says otherwise: that of the pipeline's gate. */
export const SMALLEST = 15;

/**
 * The sizes of the objects of each class of a sorted mask: a Map from a number of pixels to the number of objects
 * that have it, empty for the background. Pixels are connected by their sides, so parts that meet at a corner are two.
 *
 * Goes through the mask row by row, and keeps the parts of two rows alone: its memory grows with the width.
 */
export function objectSizes({ width, height, classes, indices }) {
  const sizes = classes.map(() => new Map());
  // A run: neighbours of one class in a row. A part: runs that are known to be connected; its size is kept at its root.
  let [before, now] = [runsOf(width), runsOf(width)];
  const parent = new Int32Array(2 * width);
  const size = new Int32Array(2 * width);
  const kind = new Uint8Array(2 * width);
  const renamed = new Int32Array(2 * width);
  const root = (part) => {
    while (parent[part] !== part) part = parent[part] = parent[parent[part]];
    return part;
  };
  let parts = 0; // of the row before, numbered from 0
  for (let y = 0; y <= height; y++) { // below the last row all parts end
    let [count, above, known] = [0, 0, parts];
    for (let x = 0; x < width && y < height; ) {
      const place = indices[y * width + x];
      const from = x;
      do x++; while (x < width && indices[y * width + x] === place);
      if (classes[place].background) continue;
      const own = known++;
      [parent[own], size[own], kind[own]] = [own, x - from, place];
      while (above < before.count && before.to[above] <= from) above++;
      for (let i = above; i < before.count && before.from[i] < x; i++) {
        if (kind[before.part[i]] !== place) continue;
        const [one, other] = [root(before.part[i]), root(own)];
        if (one === other) continue;
        parent[other] = one;
        size[one] += size[other];
      }
      [now.from[count], now.to[count], now.part[count]] = [from, x, own];
      count++;
    }
    now.count = count;
    // Parts that go on get the first numbers; the others are whole.
    renamed.fill(-1, 0, known);
    let going = 0;
    for (let i = 0; i < count; i++) {
      const part = root(now.part[i]);
      if (renamed[part] < 0) renamed[part] = going++;
      now.part[i] = renamed[part];
    }
    const kept = [new Int32Array(going), new Uint8Array(going)];
    for (let part = 0; part < known; part++) {
      if (parent[part] !== part) continue;
      if (renamed[part] < 0) add(sizes[kind[part]], size[part]);
      else [kept[0][renamed[part]], kept[1][renamed[part]]] = [size[part], kind[part]];
    }
    size.set(kept[0]);
    kind.set(kept[1]);
    for (let part = 0; part < going; part++) parent[part] = part;
    parts = going;
    [before, now] = [now, before];
  }
  return sizes;
}

/** How many objects of these sizes have at least so many pixels. */
export function objectsOf(sizes, least) {
  let found = 0;
  for (const [pixels, count] of sizes) if (pixels >= least) found += count;
  return found;
}

function runsOf(width) {
  return { count: 0, from: new Int32Array(width), to: new Int32Array(width), part: new Int32Array(width) };
}

function add(sizes, pixels) {
  sizes.set(pixels, (sizes.get(pixels) ?? 0) + 1);
}
