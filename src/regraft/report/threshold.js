for (const figure of document.querySelectorAll("[data-answered]")) {
  const told = JSON.parse(figure.dataset.answered);
  const label = document.createElement("label");
  const slider = document.createElement("input");
  const said = document.createElement("output");
  Object.assign(slider, { type: "range", min: 0, max: told.n.length - 1, value: figure.dataset.least });
  label.append("Answer only from this confidence on: ", slider);
  figure.querySelector("svg").after(label, said);
  const mark = figure.querySelector("svg .here");
  const sure = document.querySelector("#sure");
  const share = (part, all) => `${(100 * part / all).toFixed(1)}%`;
  const show = () => {
    const [n, right, at] = [told.n[slider.value], told.right[slider.value], told.at[slider.value]];
    const right_of = n ? `, right for ${share(right, n)} of those; ${n - right} wrong` : "";
    const least = (slider.value / 100).toFixed(2);
    sure.textContent = sure.textContent.replace(/[\d.]+(?=\]$)/, least);
    said.textContent = `${least}: answers ${share(n, told.of)} (${n} of ${told.of})${right_of}.`;
    if (at.length) { mark.setAttribute("cx", at[0]); mark.setAttribute("cy", at[1]); }
  };
  slider.addEventListener("input", show);
  show();
}
