/**
 * The face of a voice: a shape whose form and colours follow from the voice's id, so that each voice is recognised. It
 * moves while the voice speaks. `<voice-shape voice="id">` shows it small; in a call it is large and alive.
 */

import { findAll } from "./elements.js";

/**
 * @typedef {{lobes: number, depth: number, turn: number, hue: number, span: number}} Form `lobes` around the shape, as
 *   deep as `depth` (a share of the radius), from the angle `turn`; two colours, `hue` and that `span` degrees further
 * @typedef {{x: number, y: number, radius: number, time: number, swell: number}} Pose `time` in seconds moves the
 *   lobes, `swell` (1 is calm) deepens them
 */

const POINTS = 96; // of an outline
const LAYERS = 3;
export const stillness = window.matchMedia("(prefers-reduced-motion: reduce)");

/**
 * Return a function that gives random-looking numbers from 0 to 1, always the same for an id.
 * @param {string} id
 */
function numbersOf(id) {
  let hash = 2166136261;
  for (const character of id) hash = Math.imul(hash ^ character.charCodeAt(0), 16777619);
  return () => {
    hash = Math.imul(hash ^ (hash >>> 15), 2246822507) + 0x9e3779b9;
    return ((hash ^ (hash >>> 13)) >>> 0) / 2 ** 32;
  };
}

/** @param {string} id of a voice @returns {Form} */
export function formOf(id) {
  const number = numbersOf(id);
  const lobes = 2 + Math.floor(number() * 5);
  const depth = (0.14 + 0.08 * number()) / Math.sqrt(lobes / 2);
  const span = (number() < 0.5 ? -1 : 1) * (55 + 50 * number());
  return { lobes, depth, turn: 2 * Math.PI * number(), hue: 130 + 300 * number(), span }; // Yellow becomes mustard.
}

/**
 * @param {Form} form
 * @param {number} share from its first colour (0) to its second (1)
 * @param {{alpha?: number, vivid?: number, light?: number}} [options] `vivid` 0 is grey
 */
export function colour({ hue, span }, share, { alpha = 1, vivid = 1, light = 0.68 } = {}) {
  return `oklch(${light + 0.1 * share} ${(0.17 * vivid).toFixed(3)} ${(hue + span * share).toFixed(1)} / ${alpha})`;
}

/**
 * Make the outline of the shape the current path.
 * @param {CanvasRenderingContext2D} context
 * @param {Form} form
 * @param {Pose} pose
 */
export function trace(context, { lobes, depth, turn }, { x, y, radius, time, swell }) {
  context.beginPath();
  for (let index = 0; index < POINTS; index += 1) {
    const angle = (2 * Math.PI * index) / POINTS;
    const main = Math.cos(lobes * (angle - turn) + 0.7 * time) * Math.cos(0.45 * time);
    const side = Math.cos((lobes + 1) * (angle + turn) - 1.1 * time);
    const reach = radius * (1 + swell * depth * (0.72 * main + 0.45 * side));
    context.lineTo(x + reach * Math.cos(angle), y + reach * Math.sin(angle));
  }
  context.closePath();
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Form} form
 * @param {Pose} pose
 * @param {number} [vivid] 0 is grey
 */
export function drawShape(context, form, pose, vivid = 1) {
  const { x, y, radius, time } = pose;
  for (let layer = LAYERS - 1; layer >= 0; layer -= 1) {
    const size = radius * (1 - 0.06 * layer);
    const lean = form.turn + 0.2 * time + (layer * 2 * Math.PI) / LAYERS;
    const [dx, dy] = [size * Math.cos(lean), size * Math.sin(lean)];
    const paint = context.createLinearGradient(x - dx, y - dy, x + dx, y + dy);
    paint.addColorStop(0, colour(form, 0, { vivid, alpha: layer ? 0.55 : 0.8, light: 0.62 }));
    paint.addColorStop(1, colour(form, 1, { vivid, alpha: layer ? 0.4 : 0.75, light: 0.72 }));
    context.fillStyle = paint;
    trace(context, form, { ...pose, radius: size, time: time + 1.9 * layer });
    context.fill();
  }
  const shine = context.createRadialGradient(x - 0.35 * radius, y - 0.45 * radius, 0, x, y, 1.1 * radius);
  shine.addColorStop(0, "rgb(255 255 255 / 55%)");
  shine.addColorStop(0.55, "rgb(255 255 255 / 8%)");
  shine.addColorStop(1, "rgb(255 255 255 / 0%)");
  context.fillStyle = shine;
  context.fill(); // The outline of the front layer is still the path.
}

/**
 * Fit a canvas to its size on the screen, and return its context, in CSS pixels.
 * @param {HTMLCanvasElement} canvas
 */
export function fitted(canvas) {
  const scale = Math.min(2, window.devicePixelRatio || 1);
  const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((length) => Math.round(length * scale));
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

class VoiceShape extends HTMLElement {
  static observedAttributes = ["voice"];

  #canvas = document.createElement("canvas");
  #isSpeaking = false;
  #resized = new ResizeObserver(() => this.#draw());

  connectedCallback() {
    this.ariaHidden = "true"; // The voice's name stands beside it.
    this.replaceChildren(this.#canvas);
    this.#resized.observe(this.#canvas);
  }

  disconnectedCallback() {
    this.#resized.disconnect();
    this.#isSpeaking = false;
  }

  attributeChangedCallback() {
    if (this.isConnected && !this.#isSpeaking) this.#draw();
  }

  /** @param {boolean} isSpeaking */
  set speaking(isSpeaking) {
    if (isSpeaking === this.#isSpeaking || stillness.matches) return;
    this.#isSpeaking = isSpeaking;
    if (isSpeaking) this.#move();
  }

  #move() {
    this.#draw(performance.now() / 1000);
    if (this.#isSpeaking) requestAnimationFrame(() => this.#move());
    else this.#draw();
  }

  /** @param {number} [time] seconds; without it, the shape is still */
  #draw(time) {
    const context = fitted(this.#canvas);
    const size = this.#canvas.clientWidth;
    const beat = time === undefined ? 0 : 0.5 + 0.5 * Math.sin(9 * time) * Math.sin(2.3 * time);
    const pose = { x: size / 2, y: size / 2, radius: size * (0.38 + 0.05 * beat), time: 3 * (time ?? 0) };
    if (size) drawShape(context, formOf(this.getAttribute("voice") ?? ""), { ...pose, swell: 1.25 + beat });
  }
}

customElements.define("voice-shape", VoiceShape);

/** @param {ParentNode} root @param {boolean} isSpeaking */
function setSpeaking(root, isSpeaking) {
  for (const shape of findAll(root, "voice-shape")) /** @type {VoiceShape} */ (shape).speaking = isSpeaking;
}

/** A recording of a voice starts or stops on its card. @param {Event} event */
function showPlayback({ target, type }) {
  const card = /** @type {Element} */ (target).closest?.(".voice");
  if (card) setSpeaking(card, type === "play");
}

for (const type of ["play", "pause", "ended"]) document.addEventListener(type, showPlayback, true);
new MutationObserver(() => {
  const talk = document.getElementById("talk");
  if (talk) setSpeaking(talk, document.documentElement.dataset.turnState === "speaking");
}).observe(document.documentElement, { attributeFilter: ["data-turn-state"] });
document.addEventListener("change", ({ target }) => {
  const { id, value } = /** @type {HTMLSelectElement} */ (target);
  if (id !== "voice") return;
  for (const shape of findAll(document, "#talk voice-shape:not(#call-voices *)")) shape.setAttribute("voice", value);
});
