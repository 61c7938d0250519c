/** A labelled text box for a number and, where `ends` are given, a slider; both hold `value`. */
function render({ model, el }) {
  const label = document.createElement("label");
  const text = document.createElement("span");
  const box = document.createElement("input");
  box.type = "number";
  label.append(text, box);
  el.classList.add("happymaps", "happymaps-number");
  el.append(label);

  const [low, high] = model.get("ends");
  const isLog = model.get("logarithmic");
  const slider = low === undefined ? null : document.createElement("input");
  if (slider) {
    slider.type = "range";
    slider.dataset.lmSuppressShortcuts = "true"; // JupyterLab would take the arrow keys
    el.append(slider);
    slider.addEventListener("input", () => put(fromSlider()));
  }
  box.addEventListener("change", read);
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter") read();
    if (!isLog || !["ArrowUp", "ArrowDown"].includes(event.key)) return;
    event.preventDefault();
    event.key === "ArrowUp" ? slider.stepUp() : slider.stepDown();
    put(fromSlider());
  });

  function read() {
    box.value === "" ? show() : put(Number(box.value));
  }
  function fromSlider() {
    return isLog ? Number((10 ** slider.value).toPrecision(3)) : Number(slider.value);
  }
  function put(value) {
    model.set("value", value);
    model.save_changes();
  }
  function show() {
    const value = model.get("value");
    text.textContent = model.get("name");
    box.step = isLog ? "any" : "1";
    box.min = model.get("min");
    box.max = model.get("max");
    box.value = value;
    if (!slider) return;
    const [low, high] = model.get("ends");
    slider.min = isLog ? Math.log10(low) : low;
    slider.max = isLog ? Math.log10(high) : high;
    slider.step = isLog ? 0.1 : 1;
    if (fromSlider() !== value) slider.value = isLog ? Math.log10(Math.max(value, low)) : value;
    slider.setAttribute("aria-label", `${model.get("name")} slider`);
    slider.setAttribute("aria-valuetext", String(value));
  }
  model.on("change", show);
  show();
  return () => model.off("change", show);
}
export default { render };
