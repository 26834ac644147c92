// What a page does when it is used: copies a snippet, enlarges a picture, unfolds everything for paper.
(() => {
  const make = (tag, properties, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  // Copying: by the clipboard where there is one, else as the selection; what happened stands on the button for a while.
  const said = make("div", { className: "unseen" });
  said.setAttribute("role", "status");
  const select = (element) => {
    for (let fold = element.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
    const range = document.createRange();
    range.selectNodeContents(element);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
  };
  const copied = async (element) => {
    if (navigator.clipboard) {
      try {
        await navigator.clipboard.writeText(element.textContent);
        return true;
      } catch (error) {
        console.info("the clipboard is closed to this page:", error);
      }
    }
    select(element);
    return document.execCommand("copy");
  };
  for (const button of document.querySelectorAll("button[data-copies]")) {
    const label = button.firstChild;
    let timer = 0;
    button.hidden = false;
    button.addEventListener("click", async () => {
      const done = await copied(document.getElementById(button.dataset.copies));
      label.data = done ? "Copied" : "Press Ctrl+C";
      said.textContent = done ? "Copied" : "The text is selected: press Ctrl+C to copy it";
      clearTimeout(timer);
      timer = setTimeout(() => {
        label.data = "Copy";
        said.textContent = "";
      }, 2500);
    });
  }
  document.body.append(said);

  // Enlarging: one dialog for all; arrow keys go through the row, each picture in the same place, so that they flip.
  const large = make("img", { alt: "" });
  const title = make("h2", { id: "enlarged-title" });
  const caption = make("p", { className: "caption" });
  const key = (text, step) => make("button", { type: "button", textContent: text, onclick: () => go(step) });
  const close = make("button", { type: "button", textContent: "Close", onclick: () => dialog.close() });
  const [before, after] = [key("← Previous", -1), key("Next →", 1)];
  const keys = make("p", { className: "keys" }, before, after, close);
  const dialog = make("dialog", { className: "enlarged" }, make("div", { className: "head" }, title, keys), large, caption);
  dialog.setAttribute("aria-labelledby", title.id);
  let [row, at] = [[], 0];
  const show = () => {
    const [picture, figure] = [row[at], row[at].closest("figure")];
    const [high, wide] = [picture.getAttribute("height"), picture.getAttribute("width")].map(Number);
    const words = figure.querySelector("figcaption");
    large.src = picture.src;
    large.alt = picture.alt;
    large.width = wide;
    large.height = high;
    dialog.style.setProperty("--shape", `${wide / high}`);
    const group = figure.closest(".group")?.querySelector("h3")?.textContent ?? "";
    title.textContent = words.querySelector("b").textContent;
    caption.textContent = [group, words.querySelector("span").textContent.replaceAll("\n", " · ")].filter(Boolean).join(" — ");
    before.disabled = at === 0;
    after.disabled = at === row.length - 1;
  };
  const go = (step) => {
    at = Math.min(row.length - 1, Math.max(0, at + step));
    show();
    if (document.activeElement.disabled) close.focus();
  };
  for (const picture of document.querySelectorAll("img.enlargeable")) {
    const button = make("button", { type: "button", className: "enlarge" });
    picture.replaceWith(button);
    button.append(picture);
    button.addEventListener("click", () => {
      row = [...button.closest(".grid").querySelectorAll("img.enlargeable")];
      at = row.indexOf(picture);
      show();
      dialog.showModal();
      close.focus();
    });
  }
  dialog.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    go(step);
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target === large) dialog.close();
  });
  if (document.querySelector("img.enlargeable")) document.body.append(dialog);

  // A table or code that has nothing to scroll is no stop for the Tab key.
  const stops = [...document.querySelectorAll(".scroll, pre")];
  const measure = () => {
    for (const stop of stops) {
      if (!stop.clientWidth) continue;
      const scrolls = stop.scrollWidth > stop.clientWidth + 1 || stop.scrollHeight > stop.clientHeight + 1;
      stop.tabIndex = scrolls ? 0 : -1;
      if (!scrolls) stop.removeAttribute("tabindex");
    }
  };
  addEventListener("resize", measure);
  document.addEventListener("toggle", measure, true);
  measure();

  // On paper nothing is folded, and a small output is enlarged as on the screen, which a printer would show as blocks.
  let [folded, enlarged] = [[], []];
  const largeOf = (picture) => {
    const [wide, high] = [picture.getAttribute("width"), picture.getAttribute("height")].map(Number);
    const drawn = make("canvas", { width: wide, height: high }).getContext("2d");
    drawn.drawImage(picture, 0, 0, wide, high);
    const canvas = make("canvas", { className: "printed", width: wide, height: high });
    canvas.getContext("2d").putImageData(drawn.getImageData(0, 0, wide, high), 0, 0); // drawn, it would be printed small
    picture.after(canvas);
    return canvas;
  };
  addEventListener("beforeprint", () => {
    const pictures = [...document.querySelectorAll("img.enlargeable")];
    enlarged = pictures.filter((one) => one.naturalWidth && one.naturalWidth < Number(one.getAttribute("width"))).map(largeOf);
    folded = [...document.querySelectorAll("details:not([open])")].filter((fold) => !fold.querySelector(".widget"));
    for (const fold of folded) fold.open = true;
  });
  addEventListener("afterprint", () => {
    for (const fold of folded) fold.open = false;
    for (const canvas of enlarged) canvas.remove();
  });
})();
