"use strict";
// Comfort only: every number and every chart is on the page without it.
(() => {
  const button = (text, label, act) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.setAttribute("aria-label", label);
    made.addEventListener("click", act);
    return made;
  };
  const tools = (label, ...parts) => {
    const made = document.createElement("div");
    made.className = "tools";
    made.setAttribute("role", "toolbar");
    made.setAttribute("aria-label", label);
    made.append(...parts);
    return made;
  };
  const within = (value, low, high) => Math.min(Math.max(value, low), high);

  // An entry of a legend shows and hides its line.
  for (const key of document.querySelectorAll("[data-part]")) {
    const part = document.getElementById(key.dataset.part);
    if (part === null) continue;
    const made = document.createElement("button");
    made.type = "button";
    made.setAttribute("aria-pressed", "true");
    made.append(...key.childNodes);
    made.addEventListener("click", () => {
      const on = made.getAttribute("aria-pressed") !== "true";
      made.setAttribute("aria-pressed", String(on));
      part.style.display = on ? "" : "none";
    });
    key.append(made);
  }

  // Candles: nearer, farther, left, right.
  for (const svg of document.querySelectorAll("svg.candles")) {
    const plot = svg.querySelector("svg.plot");
    const times = svg.dataset.times.split(",").map(Number);
    const height = plot.getAttribute("viewBox").split(" ")[3];
    const labels = [...svg.querySelectorAll("text.time")];
    const n = times.length;
    let from = 0, width = n;
    const draw = () => {
      width = within(Math.round(width), Math.min(10, n), n);
      from = within(Math.round(from), 0, n - width);
      plot.setAttribute("viewBox", `${from} 0 ${width} ${height}`);
      [from, from + Math.floor(width / 2), from + width - 1].forEach((at, place) => {
        labels[place].textContent = new Date(times[at] * 60000).toISOString().slice(0, 16).replace("T", " ");
      });
    };
    const zoom = (factor) => { const middle = from + width / 2; width *= factor; from = middle - width / 2; draw(); };
    const move = (share) => { from += share * width; draw(); };
    svg.before(tools("Zoom",
      button("+", "nearer", () => zoom(0.6)), button("\u2212", "farther", () => zoom(1 / 0.6)),
      button("\u25c0", "earlier", () => move(-0.3)), button("\u25b6", "later", () => move(0.3)),
      button("all", "whole window", () => { from = 0; width = n; draw(); })));
  }

  // One trade after the other, of one kind if wanted.
  for (const list of document.querySelectorAll(".windows")) {
    const all = [...list.querySelectorAll("details")];
    const kind = document.createElement("select");
    kind.setAttribute("aria-label", "which trades");
    const kinds = new Set(all.flatMap((each) => each.dataset.kinds.split(" ")));
    for (const name of ["all", ...kinds]) kind.add(new Option(name, name));
    const wanted = () => all.filter((each) => kind.value === "all" || each.dataset.kinds.split(" ").includes(kind.value));
    const show = (each) => { if (each) { each.open = true; each.scrollIntoView({ block: "nearest" }); } };
    const step = (by) => {
      const among = wanted(), at = among.findIndex((each) => each.open);
      show(among[at < 0 ? 0 : (at + by + among.length) % among.length]);
    };
    kind.addEventListener("change", () => {
      const among = new Set(wanted());
      for (const each of all) { each.hidden = !among.has(each); if (each.hidden) each.open = false; }
    });
    list.prepend(tools("Trades", button("\u25c0 previous", "previous trade", () => step(-1)), button("next \u25b6", "next trade", () => step(1)), kind));
  }
})();
