/** A picture with its text alternative and caption. */
function render({ model, el }) {
  const figure = document.createElement("figure");
  const image = document.createElement("img");
  const caption = document.createElement("figcaption");
  figure.append(image, caption);
  el.classList.add("happymaps", "happymaps-picture");
  el.append(figure);

  function show() {
    const png = model.get("png");
    const old = image.src;
    image.hidden = png.byteLength === 0;
    image.src = URL.createObjectURL(new Blob([png], { type: "image/png" }));
    image.alt = model.get("alt");
    image.width = model.get("width");
    caption.textContent = model.get("caption");
    if (old) URL.revokeObjectURL(old);
  }
  model.on("change", show);
  show();
  return () => {
    model.off("change", show);
    URL.revokeObjectURL(image.src);
  };
}
export default { render };
