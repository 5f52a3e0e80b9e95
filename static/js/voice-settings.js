/** The sliders of a voice: its values in figures, old against new by ear, saving. Loaded when they are first opened. */

import { announce, text } from "./page.js";
import { change, load, play, preview, run } from "./voice-cards.js";

const list = document.getElementById("voices");
const figure = new Intl.NumberFormat(document.documentElement.lang, { minimumFractionDigits: 2 });

const sliders = (form) => [...form.querySelectorAll("input[type=range]")];

function showValue(slider) {
  slider.closest(".slider").querySelector(".slider-value").textContent = figure.format(slider.value);
}

/** @param {HTMLFormElement} form @returns {Record<string, number | null>} null where a slider is at the engine's own */
function values(form) {
  const entries = sliders(form).map(({ name, valueAsNumber, dataset }) => [name, valueAsNumber, Number(dataset.own)]);
  return Object.fromEntries(entries.map(([name, value, own]) => [name, value === own ? null : value]));
}

async function compare(form) {
  if (sliders(form).every((slider) => slider.valueAsNumber === Number(slider.defaultValue))) {
    announce(text("settings-same"));
    return;
  }
  announce(text("preview-loading"));
  const [saved, changed] = form.querySelectorAll("audio");
  const sounds = await Promise.all([preview(form), preview(form, values(form))]);
  load(saved, sounds[0]);
  load(changed, sounds[1]);
  form.querySelector(".comparison").hidden = false;
  saved.addEventListener("ended", () => play(changed, text("hear-changed")), { once: true });
  await play(saved, text("hear-saved"));
}

function takeBack(form) {
  for (const slider of sliders(form)) {
    slider.value = slider.dataset.own;
    showValue(slider);
  }
}

for (const slider of list.querySelectorAll("input[type=range]")) showValue(slider); // Some may have been moved already.
list.addEventListener("input", ({ target }) => target.type === "range" && showValue(target));
list.addEventListener("click", ({ target }) => {
  if (target.closest(".compare")) run(target.form, compare);
  if (target.closest(".own-values")) takeBack(target.form);
});
list.addEventListener("submit", (event) => {
  if (!event.target.classList.contains("settings")) return;
  event.preventDefault();
  const save = (form) => change(form, { settings: values(form) }, "settings-saved", ".settings [type=submit]");
  run(event.target, save);
});
