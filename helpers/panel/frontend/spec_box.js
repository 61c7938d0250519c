/** A text box, to unfold, and its Apply button, which sends the text along with the press: of two widgets, the
 * messages may reach the kernel in the wrong order. */
function render({ model, el }) {
  const fold = document.createElement("details");
  const text = document.createElement("summary");
  const area = document.createElement("textarea");
  const button = document.createElement("button");
  area.rows = 14;
  area.spellcheck = false;
  button.textContent = "Apply";
  button.className = "jupyter-button";
  el.classList.add("happymaps", "happymaps-spec");
  fold.append(text, area, button);
  el.append(fold);
  button.addEventListener("click", () => model.send({ apply: area.value }));

  function show() {
    text.textContent = model.get("name");
    area.setAttribute("aria-label", model.get("name"));
    area.value = model.get("value");
  }
  model.on("change", show);
  show();
  return () => model.off("change", show);
}
export default { render };
