"use strict";
// Browse stored maps: every picture is a tile of a sheet, `maps` says which map each tile is.
const GRID = ["unit", "tv_weight", "lp_weight", "seed"];
const SHORT = { unit: "unit", tv_weight: "TV", lp_weight: "LP", seed: "seed" };
const LEGENDS = { unit: "Unit", tv_weight: "TV weight", lp_weight: "LP weight", seed: "Seed" };

class Browser {
  constructor(root) {
    this.root = root;
    root.querySelector(".plain").remove();
    const read = (name) => JSON.parse(root.querySelector(`script.${name}`).textContent);
    this.sweeps = read("stored");
    const first = read("first");
    this.net = root.querySelector("[name=net]");
    this.sweep = root.querySelector("[name=sweep]");
    fill(this.net, [...new Set(this.sweeps.map((sweep) => sweep.net))].map((net) => [net, net]));
    if (this.sweeps.some((sweep) => sweep.net === first.net)) this.net.value = first.net;
    this.net.addEventListener("change", () => this.chooseNet({}));
    this.sweep.addEventListener("change", () => this.chooseSweep(this.chosen));
    this.chooseNet(first);
  }

  chooseNet(wanted) {
    const offered = this.sweeps.filter((sweep) => sweep.net === this.net.value);
    fill(this.sweep, offered.map((sweep) => [this.sweeps.indexOf(sweep), sweep.title]));
    const found = offered.find((sweep) => sweep.layer === wanted.layer) ?? offered[0];
    this.sweep.value = this.sweeps.indexOf(found);
    this.chooseSweep(wanted);
  }

  chooseSweep(wanted) {
    this.now = this.sweeps[this.sweep.value];
    const keys = this.now.maps.map((map) => Object.fromEntries(GRID.map((dim, i) => [dim, map[i]])));
    this.values = Object.fromEntries(
      GRID.map((dim) => [dim, [...new Set(keys.map((key) => key[dim]))].sort((a, b) => a - b)])
    );
    this.tiles = new Map(keys.map((key, tile) => [nameOf(key), tile]));
    this.keys = keys;
    this.chosen = this.nearest(wanted);
    this.draw();
  }

  // The stored map that agrees with what is wanted in the dims that matter most, which come first
  // in `order`; among equals one whose search had a gradient to follow.
  nearest(wanted, order = GRID) {
    const scores = this.keys.map((key, tile) =>
      order.reduce(
        (sum, dim, i) => sum + (key[dim] === wanted[dim]) * 2 ** (order.length - i),
        this.now.maps[tile].at(-1) === 0 ? 0 : 0.5
      )
    );
    return this.keys[scores.indexOf(Math.max(...scores))];
  }

  choose(dim, value) {
    this.chosen = this.nearest({ ...this.chosen, [dim]: value }, [dim, ...GRID.filter((d) => d !== dim)]);
    this.draw();
  }

  draw() {
    for (const dim of GRID) this.drawChoice(dim);
    const tile = this.tiles.get(nameOf(this.chosen));
    const [raw, shown, atSeed, gradient] = this.now.maps[tile].slice(GRID.length);
    const which = GRID.map((dim) => `${SHORT[dim]} ${this.chosen[dim]}`).join(", ");
    const title = `${this.now.kind} of ${this.now.layer} (${this.now.objective}), ${which}`;
    const picture = this.root.querySelector("figure .map");
    this.paint(picture, tile);
    picture.setAttribute("aria-label", title);
    this.root.querySelector("[role=status]").textContent =
      `${title}: ${this.now.objective} ${raw} on the raw map, ${shown} as shown, ${atSeed} at the seed input.` +
      (gradient === 0 ? " No gradient at the seed input: the search had nothing to follow." : "");
    this.root.querySelector(".spec").textContent = this.spec();
  }

  drawChoice(dim) {
    const group = this.root.querySelector(`fieldset[data-dim=${dim}]`);
    group.hidden = this.values[dim].length < 2 && dim !== "unit";
    const held = dim === "unit" ? "tv_weight" : "unit";
    const pictured = dim === "unit" || dim === "tv_weight";
    group.querySelector("legend").textContent =
      LEGENDS[dim] + (pictured ? ` (maps at ${SHORT[held]} ${this.chosen[held]})` : "");
    const focused = group.contains(document.activeElement);
    const tiles = this.values[dim].map((value) => {
      const tile = this.tiles.get(nameOf({ ...this.chosen, [dim]: value }));
      const label = make("label", "tile");
      const input = make("input");
      Object.assign(input, { type: "radio", name: `${dim}-${this.root.id}`, value });
      input.checked = value === this.chosen[dim];
      input.disabled = pictured && tile === undefined;
      input.addEventListener("change", () => this.choose(dim, value));
      label.append(input);
      if (pictured) label.append(this.paint(make("span", "map"), tile));
      label.append(`${SHORT[dim]} ${value}`);
      return label;
    });
    group.querySelector(".tiles").replaceChildren(...tiles);
    const checked = group.querySelector(":checked");
    if (focused) checked.focus({ preventScroll: true });
  }

  paint(element, tile) {
    const { columns, maps, height, width, sheet } = this.now;
    const rows = Math.ceil(maps.length / columns);
    element.style.aspectRatio = `${width} / ${height}`;
    element.classList.toggle("none", tile === undefined);
    if (tile === undefined) return element;
    const share = (index, count) => (count > 1 ? (100 * index) / (count - 1) : 0);
    element.style.backgroundImage = `url("${sheet}")`;
    element.style.backgroundSize = `${columns * 100}% ${rows * 100}%`;
    element.style.backgroundPosition =
      `${share(tile % columns, columns)}% ${share(Math.floor(tile / columns), rows)}%`;
    return element;
  }

  spec() {
    const lists = { units: "unit", tv_weights: "tv_weight", lp_weights: "lp_weight", seeds: "seed" };
    return this.now.toml.replace(/^(\w+) = \[.*\]$/gm, (line, key) =>
      key in lists ? `${key} = [${this.chosen[lists[key]]}]` : line
    );
  }
}

const nameOf = (key) => GRID.map((dim) => key[dim]).join(" ");

function make(kind, className = "") {
  return Object.assign(document.createElement(kind), { className });
}

function fill(select, options) {
  select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
}

for (const root of document.querySelectorAll(".browser")) new Browser(root);
