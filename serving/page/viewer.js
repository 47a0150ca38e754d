// A canvas on which layers of equal size are zoomed and moved: by wheel, pinch, drag and keys.

const STEP = 1.25; // of one press of + or −
const LARGEST = 64; // pixels of the screen for one of the image
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const SHARE = 0.1; // of the canvas that an arrow moves by

export class Viewer {
  #canvas;
  #context;
  #size = [0, 0]; // of the layers
  #layers = [];
  #scale = 1; // pixels of the canvas for one of the image
  #centre = [0, 0]; // what is in the middle of the canvas, in pixels of the image
  #fitted = true; // stays so when the window changes
  #pointers = new Map();
  #asked = false;

  /** Calls `zoomed(per cent)` after every change, and `pointed(x, y)` with a pixel, or nothing beside it. */
  constructor(canvas, { zoomed, pointed }) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
    this.zoomed = zoomed;
    this.pointed = pointed;
    new ResizeObserver(() => this.#resize()).observe(canvas);
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("dblclick", (event) => this.zoom(2, this.#at(event)));
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, (event) => this.#pointers.delete(event.pointerId));
    }
    canvas.addEventListener("pointerleave", () => this.pointed());
  }

  /** Shows layers `{ source, alpha }` of a size, the lowest first; of another size than before, they are fitted. */
  show(width, height, layers) {
    const same = width === this.#size[0] && height === this.#size[1];
    this.#size = [width, height];
    this.#layers = layers;
    if (same && !this.#fitted) this.#draw();
    else this.fit();
  }

  /** Shows nothing, so that the layers may go. */
  clear() {
    this.#layers = [];
  }

  /** Shows all of the image, small ones enlarged. */
  fit() {
    this.#fitted = true;
    this.#scale = this.#fitting();
    this.#centre = this.#size.map((side) => side / 2);
    this.#draw();
  }

  /** Zooms by a factor; the point of the canvas `at` (default: its middle) stays where it is. */
  zoom(factor, at = this.#middle()) {
    const smallest = Math.min(this.#fitting(), 1);
    const scale = Math.min(Math.max(this.#scale * factor, smallest), LARGEST * devicePixelRatio);
    const middle = this.#middle();
    this.#centre = this.#centre.map((c, i) => c + (at[i] - middle[i]) * (1 / this.#scale - 1 / scale));
    this.#scale = scale;
    this.#fitted = false;
    this.#draw();
  }

  /** One pixel of the screen for each of the image. */
  actual() {
    this.zoom(1 / this.#scale);
  }

  #middle() {
    return [this.#canvas.width / 2, this.#canvas.height / 2];
  }

  #fitting() {
    const [width, height] = this.#size;
    return Math.min(this.#canvas.width / width, this.#canvas.height / height, LARGEST * devicePixelRatio) || 1;
  }

  #moveBy(dx, dy) { // in pixels of the canvas
    this.#centre = [this.#centre[0] - dx / this.#scale, this.#centre[1] - dy / this.#scale];
    this.#fitted = false;
    this.#draw();
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { width, height } = this.#canvas;
    if (event.key in ARROWS) {
      const [x, y] = ARROWS[event.key];
      this.#moveBy(-x * SHARE * width, -y * SHARE * height);
    } else if (event.key === "+" || event.key === "=") this.zoom(STEP);
    else if (event.key === "-" || event.key === "−") this.zoom(1 / STEP);
    else if (event.key === "0") this.fit();
    else if (event.key === "1") this.actual();
    else return;
    event.preventDefault();
  }

  #wheel(event) {
    event.preventDefault();
    const unit = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    const pinch = event.ctrlKey ? 8 : 1; // a trackpad tells a pinch as small turns of a wheel with Ctrl
    const factor = Math.exp((-event.deltaY * unit * pinch) / 500);
    this.zoom(Math.min(Math.max(factor, 0.5), 2), this.#at(event));
  }

  #down(event) {
    if (event.button) return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, this.#at(event));
  }

  #move(event) {
    const at = this.#at(event);
    const before = this.#pointers.get(event.pointerId);
    if (before) {
      const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1];
      this.#pointers.set(event.pointerId, at);
      if (other) {
        const [from, to] = [before, at].map((point) => Math.hypot(point[0] - other[0], point[1] - other[1]));
        this.#moveBy((at[0] - before[0]) / 2, (at[1] - before[1]) / 2);
        if (from && to) this.zoom(to / from, [(at[0] + other[0]) / 2, (at[1] + other[1]) / 2]);
      } else this.#moveBy(at[0] - before[0], at[1] - before[1]);
    }
    const middle = this.#middle();
    const pixel = this.#centre.map((c, i) => Math.floor(c + (at[i] - middle[i]) / this.#scale));
    const inside = pixel.every((value, i) => value >= 0 && value < this.#size[i]);
    this.pointed(...(inside ? pixel : []));
  }

  // Where an event is, in pixels of the canvas.
  #at(event) {
    const box = this.#canvas.getBoundingClientRect();
    const ratio = this.#canvas.width / box.width;
    return [(event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio];
  }

  #resize() {
    const { clientWidth, clientHeight } = this.#canvas;
    if (!clientWidth || !clientHeight) return; // not shown
    this.#canvas.width = Math.round(clientWidth * devicePixelRatio);
    this.#canvas.height = Math.round(clientHeight * devicePixelRatio);
    if (this.#fitted) this.fit();
    else this.#draw();
  }

  #draw() {
    const sides = [this.#canvas.width, this.#canvas.height];
    this.#centre = this.#centre.map((c, i) => {
      const half = sides[i] / this.#scale / 2; // what is smaller than the canvas stays in its middle
      return half * 2 >= this.#size[i] ? this.#size[i] / 2 : Math.min(Math.max(c, half), this.#size[i] - half);
    });
    this.zoomed((100 * this.#scale) / devicePixelRatio);
    // One finger moves the page while there is nothing to move here.
    this.#canvas.style.touchAction = this.#fitted ? "pan-y" : "none";
    if (this.#asked) return;
    this.#asked = true;
    requestAnimationFrame(() => {
      this.#asked = false;
      this.#paint();
    });
  }

  #paint() {
    const context = this.#context;
    const [left, top] = this.#middle().map((half, i) => Math.round(half - this.#centre[i] * this.#scale));
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    context.setTransform(this.#scale, 0, 0, this.#scale, left, top);
    context.imageSmoothingEnabled = this.#scale < 1; // enlarged pixels stay squares
    context.imageSmoothingQuality = "high";
    for (const { source, alpha } of this.#layers) {
      context.globalAlpha = alpha;
      context.drawImage(source, 0, 0, ...this.#size);
    }
    context.globalAlpha = 1;
  }
}
