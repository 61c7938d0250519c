/** An image with its text alternative, a line under it and details to unfold. Without a `width` it
 * takes the room there is: each pixel of a small image a square of whole ones, a large one smooth. */
const SHARE_OF_WINDOW = 0.62; // of its height
const SMALL = 4; // times that an image fits into the room

function render({ model, el }) {
  const figure = document.createElement("figure");
  const image = document.createElement("img");
  const caption = document.createElement("figcaption");
  const line = document.createElement("div");
  const fold = document.createElement("details");
  const summary = document.createElement("summary");
  const details = document.createElement("div");
  summary.textContent = "Numbers";
  fold.append(summary, details);
  caption.append(line, fold);
  const frame = document.createElement("div");
  frame.append(image);
  figure.append(frame, caption);
  el.classList.add("happymaps", "happymaps-image");
  el.append(figure);

  function show() {
    const png = model.get("png");
    const old = image.src;
    image.hidden = png.byteLength === 0;
    image.src = URL.createObjectURL(new Blob([png], { type: "image/png" }));
    image.alt = model.get("alt");
    const other = model.get("is_stale") ? "Not what is chosen now: " : "";
    line.textContent = other + model.get("caption");
    details.textContent = model.get("details");
    fold.hidden = model.get("details") === "";
    figure.hidden = png.byteLength === 0;
    figure.classList.toggle("happymaps-stale", model.get("is_stale"));
    if (old) URL.revokeObjectURL(old);
  }
  function fit() {
    const width = model.get("width");
    if (!width && (!image.naturalWidth || !el.clientWidth)) return;
    const room = Math.min(
      el.clientWidth / image.naturalWidth,
      (SHARE_OF_WINDOW * window.innerHeight) / image.naturalHeight,
    );
    figure.classList.toggle("happymaps-exact", width > 0);
    if (width) frame.tabIndex = 0; // it may scroll
    const isSmall = room >= SMALL;
    image.style.imageRendering = width || !isSmall ? "auto" : "pixelated";
    image.width = width || Math.floor((isSmall ? Math.floor(room) : room) * image.naturalWidth);
  }
  const resized = new ResizeObserver(fit);
  resized.observe(el);
  image.addEventListener("load", fit);
  model.on("change", show);
  show();
  return () => {
    resized.disconnect();
    model.off("change", show);
    URL.revokeObjectURL(image.src);
  };
}
export default { render };
