for (const map of document.querySelectorAll(".landscape")) {
  const look = document.querySelector("#look");
  const show = (event) => {
    const point = event.target.closest(".point");
    if (!point) return;
    const shown = document.getElementById((point.getAttribute("href") || "#").slice(1));
    const said = document.createElement("p");
    said.textContent = point.querySelector("title").textContent;
    said.dir = "auto";
    const picture = document.createElement("img");
    if (shown) Object.assign(picture, { src: shown.src, alt: "" });
    look.replaceChildren(...(shown ? [picture, said] : [said]));
  };
  for (const kind of ["pointerover", "focusin", "click"]) map.addEventListener(kind, show);
}
