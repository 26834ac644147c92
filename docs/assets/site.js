// The front page is laid out by itself.
if (document.querySelector(".lf-doors")) document.body.classList.add("lf-home");

// Split views of the gallery: the range input moves the line; without this script both pictures stand side by side.
for (const view of document.querySelectorAll(".lf-split")) {
  const range = view.querySelector("input");
  const set = () => view.style.setProperty("--at", `${range.value}%`);
  range.addEventListener("input", set);
  view.classList.add("lf-split--live");
  set();
}
