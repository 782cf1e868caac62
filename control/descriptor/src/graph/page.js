"use strict";
(() => {
  const picture = document.getElementById("picture"), panel = document.getElementById("details");
  const all = [...picture.querySelectorAll(".node, .edge")];
  const size = picture.viewBox.baseVal;
  let view = { x: 0, y: 0, w: size.width, h: size.height };
  const full = { ...view };
  let pinned = null;

  const show = () => picture.setAttribute("viewBox", `${view.x} ${view.y} ${view.w} ${view.h}`);
  // Not larger than drawn: a dataflow of two nodes does not fill the screen.
  const fit = () => {
    const room = picture.getBoundingClientRect();
    const scale = Math.min(room.width / full.w, room.height / full.h, 1.15);
    view = { w: room.width / scale, h: room.height / scale };
    view.x = (full.w - view.w) / 2;
    view.y = (full.h - view.h) / 2;
    show();
  };
  const at = (event) => {
    const room = picture.getBoundingClientRect();
    return [(event.clientX - room.left) / room.width, (event.clientY - room.top) / room.height];
  };
  picture.addEventListener("wheel", (event) => {
    event.preventDefault();
    const [x, y] = at(event), factor = Math.exp(event.deltaY * 0.0012);
    if ((view.w > full.w * 8 && factor > 1) || (view.w < 60 && factor < 1)) return;
    view.x += view.w * x * (1 - factor);
    view.y += view.h * y * (1 - factor);
    view.w *= factor;
    view.h *= factor;
    show();
  }, { passive: false });
  let drag = null;
  picture.addEventListener("pointerdown", (event) => { drag = { x: event.clientX, y: event.clientY, moved: false }; });
  addEventListener("pointermove", (event) => {
    if (!drag) return;
    const room = picture.getBoundingClientRect();
    const dx = event.clientX - drag.x, dy = event.clientY - drag.y;
    if (!drag.moved && Math.hypot(dx, dy) < 4) return;
    view.x -= dx * view.w / room.width;
    view.y -= dy * view.h / room.height;
    drag = { x: event.clientX, y: event.clientY, moved: true };
    show();
  });
  addEventListener("pointerup", () => setTimeout(() => { drag = null; }));
  picture.addEventListener("dblclick", fit);
  addEventListener("resize", fit);

  const light = (chosen) => {
    picture.classList.toggle("dim", chosen.size > 0);
    for (const one of all) one.classList.toggle("on", chosen.has(one));
  };
  const around = (one) => {
    const chosen = new Set([one]);
    const id = (name) => document.getElementById(name);
    if (one.classList.contains("edge")) {
      chosen.add(id(one.dataset.from)).add(id(one.dataset.to));
    } else {
      for (const edge of all) {
        if (edge.dataset.from === one.id || edge.dataset.to === one.id) {
          chosen.add(edge).add(id(edge.dataset.from)).add(id(edge.dataset.to));
        }
      }
    }
    return chosen;
  };
  const tell = (one) => {
    panel.hidden = !one;
    if (!one) return;
    panel.querySelector("h2").textContent = one.dataset.name;
    const list = panel.querySelector("dl");
    list.replaceChildren();
    for (const line of one.dataset.details.split("\n").filter(Boolean)) {
      const [key, value] = line.split("\t");
      const term = document.createElement("dt"), text = document.createElement("dd");
      term.textContent = key;
      text.textContent = value;
      list.append(term, text);
    }
  };
  const look = (one) => { tell(one); light(one ? around(one) : new Set()); };
  for (const one of all) {
    one.addEventListener("pointerenter", () => { if (!pinned && !drag?.moved) look(one); });
    one.addEventListener("pointerleave", () => { if (!pinned) look(null); });
    one.addEventListener("focus", () => { if (!pinned) look(one); });
    one.addEventListener("blur", () => { if (!pinned) look(null); });
  }
  picture.addEventListener("click", (event) => {
    if (drag?.moved) return;
    const one = event.target.closest(".node, .edge");
    pinned = one === pinned ? null : one;
    look(pinned || one);
  });
  addEventListener("keydown", (event) => { if (event.key === "Escape") { pinned = null; look(null); } });
  for (const chain of document.querySelectorAll("#chains li")) {
    const on = () => {
      const chosen = new Set();
      for (const edge of picture.querySelectorAll("." + chain.dataset.chain)) {
        chosen.add(edge).add(document.getElementById(edge.dataset.from)).add(document.getElementById(edge.dataset.to));
      }
      light(chosen);
    };
    for (const name of ["pointerenter", "focus"]) chain.addEventListener(name, on);
    for (const name of ["pointerleave", "blur"]) chain.addEventListener(name, () => light(new Set()));
  }
  fit();
})();
