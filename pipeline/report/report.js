"use strict";
// The pictures of an image, one at a time, as large as one likes; nothing else of the page needs a script.
{
  const dialog = document.getElementById("zoom");
  const view = document.getElementById("zoom-view");
  const most = 32;
  let panels = [], index = 0, scale = 1;

  const size = () => {
    const image = panels[index].querySelector("img");
    return [Number(image.getAttribute("width")), Number(image.getAttribute("height"))];
  };
  const fitting = () => {
    const [width, height] = size();
    return Math.min(view.clientWidth / width, view.clientHeight / height);
  };

  // Draws the picture; the point of it at (x, y) of the view stays where it is.
  const draw = (next, x = view.clientWidth / 2, y = view.clientHeight / 2) => {
    const stack = view.firstElementChild;
    const box = stack.getBoundingClientRect(), frame = view.getBoundingClientRect();
    const across = (frame.left + x - box.left) / box.width, down = (frame.top + y - box.top) / box.height;
    scale = Math.min(most, Math.max(Math.min(fitting(), 1) / 2, next));
    stack.style.width = `${size()[0] * scale}px`;
    stack.style.height = `${size()[1] * scale}px`;
    view.scrollLeft = across * size()[0] * scale - x;
    view.scrollTop = down * size()[1] * scale - y;
    document.getElementById("zoom-scale").textContent = `${Math.round(100 * scale)} %`;
  };

  const show = (next, keep) => {
    index = (next + panels.length) % panels.length;
    const [left, top] = [view.scrollLeft, view.scrollTop];
    const stack = panels[index].querySelector(".stack").cloneNode(true);
    view.replaceChildren(stack);
    document.getElementById("zoom-title").textContent = stack.querySelector("img").alt;
    draw(keep ? scale : fitting());
    [view.scrollLeft, view.scrollTop] = keep ? [left, top] : [0, 0];
  };

  const actions = {
    previous: () => show(index - 1, true),
    next: () => show(index + 1, true),
    in: () => draw(scale * 1.5),
    out: () => draw(scale / 1.5),
    fit: () => draw(fitting()),
    close: () => dialog.close(),
  };
  const keys = { ArrowLeft: "previous", ArrowRight: "next", "+": "in", "=": "in", "-": "out", 0: "fit" };

  for (const panel of document.querySelectorAll(".panel")) {
    panel.addEventListener("click", () => {
      panels = [...panel.parentElement.querySelectorAll(".panel")];
      dialog.showModal();
      show(panels.indexOf(panel), false);
      view.focus();
    });
  }
  for (const button of dialog.querySelectorAll("[data-do]")) {
    button.addEventListener("click", () => actions[button.dataset.do]());
  }
  dialog.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [-80, 0], ArrowRight: [80, 0], ArrowUp: [0, -80], ArrowDown: [0, 80] };
    if (event.shiftKey && moves[event.key]) {
      view.scrollBy(...moves[event.key]);
    } else if (keys[event.key] && !event.ctrlKey && !event.metaKey) {
      actions[keys[event.key]]();
    } else {
      return;
    }
    event.preventDefault();
  });
  view.addEventListener("wheel", (event) => {
    event.preventDefault();
    const frame = view.getBoundingClientRect();
    draw(scale * 1.2 ** -Math.sign(event.deltaY), event.clientX - frame.left, event.clientY - frame.top);
  }, { passive: false });
  view.addEventListener("pointermove", (event) => {
    if (event.pointerType === "mouse" && event.buttons === 1) {
      view.scrollBy(-event.movementX, -event.movementY);
    }
  });
  view.addEventListener("dragstart", (event) => event.preventDefault());
}
