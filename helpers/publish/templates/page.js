"use strict";
// The theme (kept where the browser lets a page keep anything), folded code, wide outputs.
const themes = ["auto", "light", "dark"];
const themeButton = document.getElementById("theme");

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  themeButton.textContent = `Theme: ${theme}`;
  try { localStorage.setItem("theme", theme); } catch { /* a page from a file may keep nothing */ }
}

function keptTheme() {
  try { return localStorage.getItem("theme"); } catch { return null; }
}

setTheme(themes.includes(keptTheme()) ? keptTheme() : "auto");
themeButton.addEventListener("click", () => {
  const now = themes.indexOf(document.documentElement.dataset.theme);
  setTheme(themes[(now + 1) % themes.length]);
});

const codeButton = document.getElementById("code");
codeButton?.addEventListener("click", () => {
  const open = codeButton.getAttribute("aria-pressed") !== "true";
  codeButton.setAttribute("aria-pressed", open);
  for (const fold of document.querySelectorAll("details.code")) fold.open = open;
});

for (const box of document.querySelectorAll(".output_area, pre")) {
  if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
}
