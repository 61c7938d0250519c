/** A live region that stays in the page, and a progress bar while something is under way. */
function render({ model, el }) {
  const bar = document.createElement("progress");
  const text = document.createElement("div");
  text.setAttribute("role", "status");
  el.classList.add("happymaps", "happymaps-status");
  el.append(bar, text);

  function show() {
    bar.setAttribute("aria-label", model.get("name"));
    bar.max = model.get("max");
    bar.value = model.get("value");
    const isUnderWay = bar.value > 0 && bar.value < bar.max;
    bar.style.visibility = isUnderWay ? "visible" : "hidden";
    text.classList.toggle("happymaps-error", model.get("is_error"));
    if (text.textContent !== model.get("text")) text.textContent = model.get("text");
  }
  model.on("change", show);
  show();
  return () => model.off("change", show);
}
export default { render };
