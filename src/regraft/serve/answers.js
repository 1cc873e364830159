"use strict";

// What a card shows of an answer, and how a person corrects it: by what is asked of an image. The
// network (`model`), `percent` and `correct` are those of page.js.

const KINDS = {
  one: {
    about: () =>
      `Tells ${model.classes.length} classes apart: ${some()}. Right for ${percent(model.accuracy)} of`,
    worth: () => `Accuracy ${percent(model.accuracy)}, 95% interval ${span(model.accuracy_interval, percent)}.`,
    show: showClasses,
    correct: chooseClass,
    failed: ["Not classified", "classified"],
    what: ["a class", "classes"],
  },
  several: {
    about: () =>
      `Knows ${model.classes.length} labels: ${some()}. It gives an image those whose bar reaches the mark; there may ` +
      `be none. Mean average precision ${percent(model.mean_average_precision)} on`,
    worth: () =>
      `Mean average precision ${percent(model.mean_average_precision)}, 95% interval ` +
      `${span(model.mean_average_precision_interval, percent)}; F1 ${model.f1.toFixed(3)}.`,
    show: showLabels,
    correct: chooseLabels,
    failed: ["No labels", "labelled"],
    what: ["labels", "labels"],
  },
  number: {
    about: () => `Tells a number: ${model.quantity}. Off by ${digits(model.mean_absolute_error)} on average on`,
    worth: () =>
      `R2 ${model.r2.toFixed(3)}, 95% interval ${span(model.r2_interval, (one) => one.toFixed(3))}. Of 95 images in ` +
      `100 the true number is to lie within ${digits(model.half_width)} of what is told. A bar reaches from two standard ` +
      `deviations below the mean of the training images, ${digits(model.mean)}, to two above it.`,
    show: showNumber,
    correct: typeNumber,
    failed: ["No number", "read"],
    what: ["a number", "numbers"],
  },
};
const some = () => (model.classes.length > 8 ? `${model.classes.slice(0, 8).join(", ")}, …` : model.classes.join(", "));
const span = ([low, high], told) => `${told(low)} to ${told(high)}`;
const digits = (value) => {
  // as many as the interval leaves a meaning
  const places = model.half_width > 0 ? 1 - Math.floor(Math.log10(model.half_width)) : 6;
  const exactly = Math.min(Math.max(places, 0), 20);
  const said = value.toLocaleString("en", { minimumFractionDigits: exactly, maximumFractionDigits: exactly });
  return said.replace("-", "−");
};

// ---- shown

function showClasses(card, told) {
  const strange = told.known === false ? "Like no training image: perhaps none of these." : "";
  card.state.textContent = [strange, told.warning].filter(Boolean).join(" ");
  card.element.classList.toggle("strange", Boolean(strange));
  card.bars.replaceChildren(...told.top.map((one) => bar(one.label, one.confidence)));
  card.bars.firstElementChild.className = "given best";
}

function showLabels(card, told) {
  const none = told.labels.length ? "" : "No label reaches its mark.";
  card.state.textContent = [none, told.warning].filter(Boolean).join(" ");
  card.bars.replaceChildren(...told.probabilities.map((one) => {
    const item = bar(one.label, one.probability, `from ${percent(one.threshold)}`);
    item.className = told.labels.includes(one.label) ? "given" : "";
    const mark = document.createElement("i");
    mark.style.left = `${100 * one.threshold}%`;
    item.querySelector(".track").append(mark);
    return item;
  }));
}

function showNumber(card, told) {
  const [low, high] = told.interval;
  card.state.textContent = told.warning || "";
  const ends = [
    Math.min(model.mean - 2 * model.spread, low),
    Math.max(model.mean + 2 * model.spread, high),
  ];
  const place = (value) => `${(100 * (value - ends[0])) / (ends[1] - ends[0])}%`;
  const [scale, band, tick] = [element("div", "", "scale"), element("i"), element("i", "", "tick")];
  scale.setAttribute("aria-hidden", "true");
  band.style.left = place(low);
  band.style.right = `calc(100% - ${place(high)})`;
  tick.style.left = place(told.value);
  scale.append(band, tick);
  const edges = element("p", "", "ends soft");
  edges.append(...ends.map((end) => element("span", digits(end))));
  card.bars.replaceWith(
    element("p", `${model.quantity}: ${digits(told.value)}`, "value"),
    element("p", `${digits(low)} to ${digits(high)} for 95 images in 100`, "soft"),
    scale,
    edges,
  );
}

function element(name, text = "", kind = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = kind;
  return made;
}

function bar(label, share, more = "") {
  const item = element("li");
  const value = element("span", percent(share));
  if (more) value.append(" ", element("small", more));
  const meter = element("meter");
  meter.value = share;
  const track = element("span", "", "track");
  track.setAttribute("aria-hidden", "true");
  track.append(meter);
  item.append(element("span", label), value, track);
  return item;
}

// ---- corrected

function chooseClass(card) {
  const [label, select] = [element("label", "Right class"), element("select")];
  select.append(new Option("as the network says", ""), ...model.classes.map((name) => new Option(name, name)));
  select.addEventListener("change", () => correct(card, select.value));
  label.append(select);
  return label;
}

function chooseLabels(card) {
  const [details, boxes] = [element("details"), element("div", "", "boxes")];
  const given = new Set(card.told.labels);
  details.append(element("summary", "Right labels"), boxes);
  details.addEventListener("toggle", () => {
    if (boxes.firstChild) return; // made once, and only where somebody looks
    const first = [...model.classes].sort((a, b) => given.has(b) - given.has(a));
    boxes.append(...first.map((name) => {
      const [label, box] = [element("label"), element("input")];
      box.type = "checkbox";
      box.value = name;
      box.checked = given.has(name);
      label.append(box, element("span", name));
      return label;
    }));
  });
  boxes.addEventListener("change", () => {
    const chosen = [...boxes.querySelectorAll("input:checked")].map((box) => box.value).sort();
    const same = chosen.length === given.size && chosen.every((name) => given.has(name));
    correct(card, same ? "" : chosen.join("|"));
  });
  return details;
}

function typeNumber(card) {
  const [label, input] = [element("label", `Right number (${model.quantity})`), element("input")];
  input.type = "number";
  input.step = "any";
  input.addEventListener("change", () => correct(card, input.value));
  label.append(input);
  return label;
}
