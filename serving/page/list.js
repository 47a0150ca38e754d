// The list of images: a button with a picture, a name and a state for each, and what went wrong beneath it.

const STATES = { waiting: "waits", running: "running", done: "done", failed: "refused", cancelled: "cancelled" };
const KEYS = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity };

export class List {
  #list;
  #rows = new Map(); // image -> its elements

  /** `chosen(image)` is called when a person chooses one; one Tab stop, arrow keys go through the list. */
  constructor(list, chosen) {
    this.#list = list;
    this.chosen = chosen;
    list.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Adds an image, or shows its new state. */
  update(image) {
    const row = this.#rows.get(image) ?? this.#added(image);
    row.item.dataset.state = image.state;
    row.state.textContent = STATES[image.state];
    row.text.textContent = image.text;
    row.text.hidden = !image.text || image.state === "done";
    if (image.thumb && row.picture.firstChild !== image.thumb) row.picture.replaceChildren(image.thumb);
  }

  /** Marks the image that is shown. */
  select(image) {
    for (const [each, { button }] of this.#rows) {
      if (each === image) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
      button.tabIndex = each === image ? 0 : -1;
    }
  }

  clear() {
    this.#rows.clear();
    this.#list.replaceChildren();
  }

  #added(image) {
    const [item, button, picture, name, state, text] = ["li", "button", "span", "span", "span", "p"].map((tag) =>
      document.createElement(tag));
    button.type = "button";
    [picture.className, name.className, state.className] = ["picture", "name", "state"];
    picture.setAttribute("aria-hidden", "true");
    name.textContent = image.name;
    button.title = image.name;
    button.append(picture, name, " ", state);
    button.tabIndex = this.#rows.size ? -1 : 0;
    button.addEventListener("click", () => this.chosen(image));
    item.append(button, text);
    this.#list.append(item);
    const row = { item, button, picture, state, text };
    this.#rows.set(image, row);
    return row;
  }

  #key(event) {
    if (!(event.key in KEYS)) return;
    const buttons = [...this.#rows.values()].map(({ button }) => button);
    const at = buttons.indexOf(document.activeElement);
    const to = Math.min(Math.max(at + KEYS[event.key], 0), buttons.length - 1);
    if (at < 0) return;
    event.preventDefault();
    buttons[to].focus();
    buttons[to].click();
  }
}
