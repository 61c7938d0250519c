/** A table of maps, each a button that chooses it; arrow keys go from map to map. */
function render({ model, el }) {
  const table = document.createElement("table");
  const caption = document.createElement("caption");
  el.classList.add("happymaps", "happymaps-grid");
  el.append(table);
  let buttons = [];

  function build() {
    const rows = model.get("rows");
    const columns = model.get("columns");
    const head = document.createElement("tr");
    head.append(document.createElement("td"), ...columns.map((name) => heading(name, "col")));
    buttons = rows.map((_, i) => columns.map((_, j) => button(i, j)));
    const body = rows.map((name, i) => {
      const line = document.createElement("tr");
      const cells = buttons[i].map((button) => {
        const cell = document.createElement("td");
        cell.append(button);
        return cell;
      });
      line.append(heading(name, "row"), ...cells);
      return line;
    });
    table.replaceChildren(...(columns.length ? [caption, head, ...body] : []));
    fill();
  }
  function heading(name, scope) {
    return Object.assign(document.createElement("th"), { textContent: name, scope });
  }
  function button(i, j) {
    const made = document.createElement("button");
    made.type = "button";
    made.dataset.lmSuppressShortcuts = "true"; // JupyterLab would take the arrow keys
    made.append(document.createElement("img"));
    made.addEventListener("click", () => {
      model.set("chosen", [i, j]);
      model.save_changes();
    });
    made.addEventListener("keydown", (event) => {
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
      const [down, right] = step[event.key] ?? [0, 0];
      const next = buttons[i + down]?.[j + right];
      if (!next || next === made) return;
      event.preventDefault();
      next.focus();
    });
    return made;
  }
  function fill() {
    const other = model.get("is_stale") ? " This is not what is chosen now." : "";
    caption.textContent = model.get("caption") + other;
    table.classList.toggle("happymaps-stale", model.get("is_stale"));
    const cells = model.get("cells");
    const chosen = String(model.get("chosen"));
    buttons.forEach((line, i) =>
      line.forEach((button, j) => {
        const cell = cells[i]?.[j];
        const image = button.firstChild;
        button.disabled = !cell;
        image.hidden = !cell;
        image.alt = cell ? cell.name : "";
        if (cell && image.src !== cell.src) image.src = cell.src;
        image.width = model.get("width");
        button.style.minWidth = `${model.get("width")}px`;
        button.style.minHeight = cell ? "" : `${model.get("width")}px`;
        button.classList.toggle("happymaps-not-raised", cell?.is_raised === false);
        button.setAttribute("aria-pressed", String(chosen === String([i, j])));
      }),
    );
  }
  model.on("change:rows change:columns", build);
  model.on("change:cells change:chosen change:width change:caption change:is_stale", fill);
  build();
  return () => {
    model.off("change:rows change:columns", build);
    model.off("change:cells change:chosen change:width change:caption change:is_stale", fill);
  };
}
export default { render };
