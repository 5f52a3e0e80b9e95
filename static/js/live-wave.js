/** The waveform of what the microphone hears, drawn while it is recorded. */

import { byId } from "./elements.js";
import { loudness } from "./page.js";

const BAR = 3; // CSS pixels
const STEP = 6; // CSS pixels from bar to bar: each is a measurement of 50 ms
const MAX_BARS = 400;

const canvas = byId("level", "canvas");
const isStill = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
/** @type {number[]} loudness, 0 to 1, oldest first */
let bars = [];

/** @param {number} rms dBFS, of the latest moment */
export function drawLevel(rms) {
  bars = [...bars, loudness(rms)].slice(-MAX_BARS);
  draw();
}

export function clearLevel() {
  bars = [];
  draw();
}

function draw() {
  const { clientWidth: width, clientHeight: height } = canvas;
  const scale = window.devicePixelRatio;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const pen = canvas.getContext("2d");
  if (!pen || !width) return;
  pen.scale(scale, scale);
  pen.fillStyle = getComputedStyle(canvas).color;
  const places = Math.floor(width / STEP);
  for (let place = 0; place < places; place += 1) {
    const tall = Math.max(BAR, heightAt(place, places) * height);
    pen.beginPath();
    pen.roundRect(place * STEP, (height - tall) / 2, BAR, tall, BAR / 2);
    pen.fill();
  }
}

/**
 * @param {number} place of a bar, from the left
 * @param {number} places
 * @returns {number} 0 to 1; with reduced motion the bars stand still, and only their number tells the level
 */
function heightAt(place, places) {
  if (isStill) return place < (bars.at(-1) ?? 0) * places ? 0.6 : 0;
  return bars.at(place - places) ?? 0;
}

new ResizeObserver(draw).observe(canvas);
