/** The sliders of a voice: shows, compares by ear and saves their values. Loaded when they are first opened. */

import { around, atTarget, byId, find, findAll } from "./elements.js";
import { announce, text } from "./page.js";
import { change, load, play, preview, run } from "./voice-cards.js";

const list = byId("voices");
const figures = new Intl.NumberFormat(document.documentElement.lang, { minimumFractionDigits: 2 });

/**
 * @param {HTMLElement} root
 * @returns {HTMLInputElement[]}
 */
const sliders = (root) => /** @type {HTMLInputElement[]} */ (findAll(root, ".slider input"));

/** @param {HTMLInputElement} slider */
function showValue(slider) {
  find(around(slider, ".slider"), ".slider-value").textContent = figures.format(slider.valueAsNumber);
}

/**
 * @param {HTMLFormElement} form
 * @returns {Record<string, number | null>} null for a slider at the engine's own value
 */
function values(form) {
  const entries = sliders(form).map(({ name, valueAsNumber, dataset }) => {
    return [name, valueAsNumber === Number(dataset.own) ? null : valueAsNumber];
  });
  return Object.fromEntries(entries);
}

/** @param {HTMLFormElement} form */
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
  find(form, ".comparison").hidden = false;
  saved.addEventListener("ended", () => play(changed, text("hear-changed")), { once: true });
  await play(saved, text("hear-saved"));
}

/** @param {HTMLFormElement} form */
function resetToDefaults(form) {
  for (const slider of sliders(form)) {
    slider.value = String(slider.dataset.own);
    showValue(slider);
  }
}

/** @param {HTMLFormElement} form */
const save = (form) => change(form, { settings: values(form) }, "settings-saved", ".settings [type=submit]");

list.addEventListener("input", (event) => {
  const slider = /** @type {HTMLInputElement | null} */ (atTarget(event, ".slider input"));
  if (slider) showValue(slider);
});
list.addEventListener("click", (event) => {
  const form = /** @type {HTMLFormElement} */ (atTarget(event, "form"));
  if (atTarget(event, ".compare")) run(form, compare);
  if (atTarget(event, ".own-values")) resetToDefaults(form);
});
list.addEventListener("submit", (event) => {
  const form = /** @type {HTMLFormElement} */ (event.target);
  if (!form.classList.contains("settings")) return;
  event.preventDefault();
  run(form, save);
});
for (const slider of sliders(list)) showValue(slider); // Some may have been moved before this script was loaded.
