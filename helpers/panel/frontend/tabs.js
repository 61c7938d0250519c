/** A list of tabs; arrow keys go from tab to tab, and the one that is reached is chosen. */
function render({ model, el }) {
  const list = document.createElement("div");
  list.setAttribute("role", "tablist");
  list.setAttribute("aria-label", model.get("label"));
  el.classList.add("happymaps", "happymaps-tabs");
  el.append(list);
  const tabs = model.get("names").map((name, i) => {
    const tab = document.createElement("button");
    tab.type = "button";
    tab.textContent = name;
    tab.setAttribute("role", "tab");
    tab.dataset.lmSuppressShortcuts = "true"; // JupyterLab would take the arrow keys
    tab.addEventListener("click", () => choose(i));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const next = (i + step + tabs.length) % tabs.length;
      choose(next);
      tabs[next].focus();
    });
    return tab;
  });
  list.append(...tabs);

  function choose(i) {
    model.set("chosen", i);
    model.save_changes();
  }
  function show() {
    tabs.forEach((tab, i) => {
      const isChosen = i === model.get("chosen");
      tab.setAttribute("aria-selected", String(isChosen));
      tab.tabIndex = isChosen ? 0 : -1;
    });
  }
  model.on("change:chosen", show);
  show();
  return () => model.off("change:chosen", show);
}
export default { render };
