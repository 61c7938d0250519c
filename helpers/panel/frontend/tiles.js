/** Maps of some units, each a button that chooses its unit. */
function render({ model, el }) {
  el.classList.add("happymaps", "happymaps-tiles");
  const buttons = model.get("cells").map((cell) => {
    const button = document.createElement("button");
    const image = document.createElement("img");
    const label = document.createElement("span");
    button.type = "button";
    button.setAttribute("aria-label", cell.name);
    button.title = cell.name;
    button.classList.toggle("happymaps-not-raised", !cell.is_raised);
    image.src = cell.src;
    image.alt = "";
    label.textContent = cell.unit;
    button.append(image, label);
    button.addEventListener("click", () => model.send({ unit: cell.unit }));
    return button;
  });
  el.append(...buttons);

  function show() {
    el.classList.toggle("happymaps-stale", model.get("is_stale"));
    const chosen = model.get("is_stale") ? -1 : model.get("chosen");
    model.get("cells").forEach((cell, i) => {
      buttons[i].setAttribute("aria-pressed", String(cell.unit === chosen));
    });
  }
  model.on("change:chosen change:is_stale", show);
  show();
  return () => model.off("change:chosen change:is_stale", show);
}
export default { render };
