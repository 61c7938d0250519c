"use strict";
// Browse stored maps: every image is a tile of a sheet, `maps` says which map each tile is.
const SHORT = { unit: "unit", tv_weight: "TV", lp_weight: "LP", seed: "seed" };
const LEGENDS = { unit: "Unit", tv_weight: "TV weight", lp_weight: "LP weight", seed: "Seed" };

class Browser {
  constructor(root) {
    this.root = root;
    root.querySelector(".plain").remove();
    const read = (name) => JSON.parse(root.querySelector(`script.${name}`).textContent);
    this.sweeps = read("stored");
    this.fields = this.sweeps[0].fields;
    this.grid = Object.keys(this.fields);
    const first = read("first");
    this.model = root.querySelector("[name=model]");
    this.sweep = root.querySelector("[name=sweep]");
    fill(this.model, [...new Set(this.sweeps.map((sweep) => sweep.model))].map((model) => [model, model]));
    if (this.sweeps.some((sweep) => sweep.model === first.model)) this.model.value = first.model;
    this.model.addEventListener("change", () => this.chooseModel({}));
    this.sweep.addEventListener("change", () => this.chooseSweep(this.chosen));
    this.chooseModel(first);
  }

  chooseModel(wanted) {
    const offered = this.sweeps.filter((sweep) => sweep.model === this.model.value);
    fill(this.sweep, offered.map((sweep) => [this.sweeps.indexOf(sweep), sweep.title]));
    const sweep = offered.find((sweep) => sweep.layer === wanted.layer) ?? offered[0];
    this.sweep.value = this.sweeps.indexOf(sweep);
    this.chooseSweep(wanted);
  }

  chooseSweep(wanted) {
    this.now = this.sweeps[this.sweep.value];
    const keys = this.now.maps.map((map) => Object.fromEntries(this.grid.map((dim, i) => [dim, map[i]])));
    this.values = Object.fromEntries(
      this.grid.map((dim) => [dim, [...new Set(keys.map((key) => key[dim]))].sort((a, b) => a - b)])
    );
    this.tiles = new Map(keys.map((key, tile) => [nameOf(key), tile]));
    this.keys = keys;
    this.chosen = this.nearest(wanted);
    this.draw();
  }

  // The stored map that agrees with what is wanted in the dims that matter most, which come first
  // in `order`; among equals one that had a gradient to follow.
  nearest(wanted, order = this.grid) {
    const scores = this.keys.map((key, tile) =>
      order.reduce(
        (sum, dim, i) => sum + (key[dim] === wanted[dim]) * 2 ** (order.length - i),
        this.now.maps[tile].at(-1) === 0 ? 0 : 0.5
      )
    );
    return this.keys[scores.indexOf(Math.max(...scores))];
  }

  choose(dim, value) {
    this.chosen = this.nearest({ ...this.chosen, [dim]: value }, [dim, ...this.grid.filter((d) => d !== dim)]);
    this.draw();
  }

  draw() {
    for (const dim of this.grid) this.drawChoice(dim);
    const tile = this.tiles.get(nameOf(this.chosen));
    const [raw, shown, atSeed, gradient] = this.now.maps[tile].slice(this.grid.length);
    const which = this.grid.map((dim) => `${SHORT[dim]} ${this.chosen[dim]}`).join(", ");
    const title = `${this.now.name} of ${this.now.layer} (${this.now.objective}), ${which}`;
    const image = this.root.querySelector("figure .map");
    this.paint(image, tile);
    image.setAttribute("aria-label", title);
    this.root.querySelector("[role=status]").textContent =
      `${title}: ${this.now.objective} ${raw} on the raw map, ${shown} on the displayed map, ${atSeed} at the seed input.` +
      (gradient === 0 ? " No gradient at the seed input: the regularizers act alone." : "");
    this.root.querySelector(".spec").textContent = this.spec();
  }

  drawChoice(dim) {
    const group = this.root.querySelector(`fieldset[data-dim=${dim}]`);
    group.hidden = this.values[dim].length < 2 && dim !== "unit";
    const held = dim === "unit" ? "tv_weight" : "unit";
    const hasImages = dim === "unit" || dim === "tv_weight";
    group.querySelector("legend").textContent =
      LEGENDS[dim] + (hasImages ? ` (maps at ${SHORT[held]} ${this.chosen[held]})` : "");
    const focused = group.contains(document.activeElement);
    const tiles = this.values[dim].map((value) => {
      const tile = this.tiles.get(nameOf({ ...this.chosen, [dim]: value }));
      const label = make("label", "tile");
      const input = make("input");
      Object.assign(input, { type: "radio", name: `${dim}-${this.root.id}`, value });
      input.checked = value === this.chosen[dim];
      input.disabled = hasImages && tile === undefined;
      input.addEventListener("change", () => this.choose(dim, value));
      label.append(input);
      if (hasImages) label.append(this.paint(make("span", "map"), tile));
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
    const lists = Object.fromEntries(this.grid.map((dim) => [this.fields[dim], dim]));
    return this.now.toml.replace(/^(\w+) = \[.*\]$/gm, (line, key) =>
      key in lists ? `${key} = [${this.chosen[lists[key]]}]` : line
    );
  }
}

const nameOf = (key) => Object.values(key).join(" ");

function make(tag, className = "") {
  return Object.assign(document.createElement(tag), { className });
}

function fill(select, options) {
  select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
}

for (const root of document.querySelectorAll(".browser")) new Browser(root);
