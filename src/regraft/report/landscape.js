for (const map of document.querySelectorAll(".landscape")) {
  const look = document.querySelector("#look");
  const [side, across] = JSON.parse(look.dataset.grid || "[0, 0]");
  look.firstElementChild.textContent = "Point at a dot: its name is shown here, and its photo where this page has it; where it shows it large, the dot leads there.";
  const show = (event) => {
    const point = event.target.closest(".point");
    if (!point) return;
    const shown = document.getElementById((point.getAttribute("href") || "#").slice(1));
    const said = document.createElement("p");
    said.textContent = point.querySelector("title").textContent;
    said.dir = "auto";
    const picture = document.createElement("img");
    const { cell } = point.dataset;
    if (cell) {
      Object.assign(picture, { src: look.dataset.small, alt: "", className: "small" });
      const objectPosition = `-${side * (cell % across)}px -${side * Math.floor(cell / across)}px`;
      Object.assign(picture.style, { width: `${side}px`, height: `${side}px`, objectPosition });
    }
    if (shown) Object.assign(picture, { src: shown.src, alt: "" });
    look.replaceChildren(...(shown || cell ? [picture, said] : [said]));
  };
  for (const kind of ["pointerover", "focusin", "click"]) map.addEventListener(kind, show);
}
