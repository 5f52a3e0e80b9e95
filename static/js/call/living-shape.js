/** The large shape of a call. It looks different in each state, and moves with the sound that is heard or played. */

import { colour, drawShape, fitted, formOf, stillness, trace } from "../voice-shape.js";

/**
 * @typedef {"starting" | "listening" | "thinking" | "speaking" | "muted" | "offline" | "failed"} Face
 * @typedef {{radius: number, swell: number, speed: number, vivid: number, ticks: number, orbit: number,
 *   waves: number, outline: number}} Look `radius` as a share of half the canvas; `ticks`, `orbit`, `waves` and
 *   `outline` tell how much is seen of the microphone's level around the shape, of dots on their way around it, of
 *   rings that leave it, and of an empty shape, 0 to 1
 */

/** @type {Look} */
const CALM = { radius: 0.5, swell: 0.8, speed: 0.5, vivid: 1, ticks: 0, orbit: 0, waves: 0, outline: 0 };

/** @type {Record<Face, Look>} */
const LOOKS = {
  starting: { ...CALM, radius: 0.4, outline: 0.4 },
  listening: { ...CALM, ticks: 1 },
  thinking: { ...CALM, radius: 0.24, swell: 0.5, speed: 1.4, orbit: 1 },
  speaking: { ...CALM, radius: 0.55, swell: 1.15, speed: 1.7, waves: 1 },
  muted: { ...CALM, radius: 0.44, swell: 0.1, speed: 0, vivid: 0.1 },
  offline: { ...CALM, radius: 0.46, swell: 0.7, speed: 0.15, vivid: 0.12, outline: 1 },
  failed: { ...CALM, radius: 0.42, swell: 0.4, speed: 0.1, vivid: 0.3, outline: 0.7 },
};
const TICKS = 72;
const DOTS = 6;
const WAVES = 3;
const CHANGE_SECONDS = 0.22; // in which most of a change of looks happens
const HISTORY_SECONDS = 0.04; // of sound for each tick
const STILL_LEVEL = 0.35; // shown to those who want nothing to move

/** @param {number} from @param {number} to @param {number} share */
const mix = (from, to, share) => from + (to - from) * share;

export class LivingShape {
  #canvas;
  #form = formOf("");
  /** @type {Face} */
  #face = "starting";
  #frame = 0;
  /** @type {number[]} the latest levels, newest first */
  #heard = Array.from({ length: TICKS / 2 + 1 }, () => 0);
  #heardAt = 0;
  #level = 0;
  #levelOf;
  #look = { ...LOOKS.starting };
  #now = 0; // seconds
  #phase = 0; // The clock of the shape, which runs as fast as it moves.
  #resized = new ResizeObserver(() => stillness.matches && this.#draw());

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {(face: Face) => number} levelOf returns the loudness of what is heard or played now, 0 to 1
   */
  constructor(canvas, levelOf) {
    this.#canvas = canvas;
    this.#levelOf = levelOf;
  }

  /** @param {string} voice */
  set voice(voice) {
    this.#form = formOf(voice);
    this.#showStill();
  }

  /** @param {Face} face */
  set face(face) {
    this.#face = face;
    this.#showStill();
  }

  start() {
    this.#resized.observe(this.#canvas);
    this.#now = performance.now() / 1000;
    this.#next();
  }

  stop() {
    this.#resized.disconnect();
    cancelAnimationFrame(this.#frame);
  }

  #next() {
    this.#frame = requestAnimationFrame((milliseconds) => {
      if (!stillness.matches) {
        this.#advance(milliseconds / 1000);
        this.#draw();
      }
      this.#next();
    });
  }

  #showStill() {
    if (!stillness.matches) return;
    this.#look = { ...LOOKS[this.#face] };
    this.#level = STILL_LEVEL;
    this.#heard = this.#heard.map((_level, index) => STILL_LEVEL * (0.5 + 0.5 * Math.cos(index * 1.7)));
    this.#phase = 1;
    this.#draw();
  }

  /** @param {number} now seconds */
  #advance(now) {
    const passed = Math.min(0.1, Math.max(0, now - this.#now));
    this.#now = now;
    const share = 1 - Math.exp(-passed / CHANGE_SECONDS);
    const wanted = LOOKS[this.#face];
    for (const key of /** @type {(keyof Look)[]} */ (Object.keys(wanted))) {
      this.#look[key] = mix(this.#look[key], wanted[key], share);
    }
    const level = this.#levelOf(this.#face);
    this.#level = mix(this.#level, level, 1 - Math.exp(-passed / (level > this.#level ? 0.04 : 0.16)));
    this.#phase += passed * this.#look.speed * (1 + 1.5 * this.#level);
    if (now - this.#heardAt < HISTORY_SECONDS) return;
    this.#heardAt = now;
    this.#heard = [this.#look.ticks > 0.5 ? this.#level : 0, ...this.#heard.slice(0, -1)];
  }

  #draw() {
    const context = fitted(this.#canvas);
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const half = Math.min(width, height) / 2;
    const { radius, swell } = this.#look;
    const place = { x: width / 2, y: height / 2 };
    const size = half * radius * (1 + 0.22 * this.#level);
    const pose = { ...place, radius: size, time: this.#phase, swell: swell * (1 + 0.9 * this.#level) };
    this.#drawGlow(context, place, half);
    this.#drawWaves(context, pose, half);
    this.#drawDots(context, place, half);
    this.#drawTicks(context, place, half);
    this.#drawBody(context, pose);
  }

  /** @param {CanvasRenderingContext2D} context @param {{x: number, y: number}} place @param {number} half */
  #drawGlow(context, { x, y }, half) {
    const { vivid, radius, outline } = this.#look;
    const reach = half * Math.min(1, radius * 1.75 + 0.15 * this.#level);
    const glow = context.createRadialGradient(x, y, reach * 0.25, x, y, reach);
    const alpha = (0.3 + 0.25 * this.#level) * (1 - 0.7 * outline);
    for (const [stop, share] of [[0, 1], [0.5, 0.45], [0.8, 0.1], [1, 0]]) {
      glow.addColorStop(stop, colour(this.#form, 0.4, { vivid, alpha: alpha * share }));
    }
    context.fillStyle = glow;
    context.fillRect(x - half, y - half, 2 * half, 2 * half);
  }

  /** Rings leave the shape while it speaks. @param {CanvasRenderingContext2D} context
   * @param {import("../voice-shape.js").Pose} pose @param {number} half */
  #drawWaves(context, pose, half) {
    const { waves, vivid } = this.#look;
    if (waves < 0.02) return;
    for (let index = 0; index < WAVES; index += 1) {
      const way = (0.35 * this.#phase + index / WAVES) % 1;
      const radius = mix(pose.radius, half * 0.92, way);
      const alpha = waves * (1 - way) ** 1.5 * (0.25 + 0.75 * this.#level);
      trace(context, this.#form, { ...pose, radius, time: pose.time - 0.8 * way, swell: pose.swell * (1 - 0.8 * way) });
      context.strokeStyle = colour(this.#form, way, { vivid, alpha });
      context.lineWidth = 1 + 3 * (1 - way);
      context.stroke();
    }
  }

  /** @param {CanvasRenderingContext2D} context @param {{x: number, y: number}} place @param {number} half */
  #drawDots(context, { x, y }, half) {
    const { orbit, vivid } = this.#look;
    if (orbit < 0.02) return;
    for (let index = 0; index < DOTS; index += 1) {
      const share = index / DOTS;
      const angle = 2 * Math.PI * share + 0.9 * this.#phase;
      const beat = 0.5 + 0.5 * Math.sin(2.4 * this.#phase - 2 * Math.PI * share);
      const distance = half * orbit * (0.52 + 0.06 * beat);
      context.beginPath();
      const dot = half * (0.035 + 0.05 * beat) * orbit;
      context.arc(x + distance * Math.cos(angle), y + distance * Math.sin(angle), dot, 0, 2 * Math.PI);
      context.fillStyle = colour(this.#form, share, { vivid, alpha: orbit * (0.5 + 0.5 * beat) });
      context.fill();
    }
  }

  /** The sound of the microphone, from the top down both sides. @param {CanvasRenderingContext2D} context
   * @param {{x: number, y: number}} place @param {number} half */
  #drawTicks(context, { x, y }, half) {
    const { ticks, vivid } = this.#look;
    if (ticks < 0.02) return;
    context.lineCap = "round";
    context.lineWidth = Math.max(2, half * 0.016);
    for (let index = 0; index < TICKS; index += 1) {
      const age = Math.min(index, TICKS - index);
      const angle = -Math.PI / 2 + (2 * Math.PI * index) / TICKS;
      const inner = half * 0.74;
      const outer = inner + half * ticks * (0.005 + 0.2 * this.#heard[age] * (1 - age / TICKS));
      context.beginPath();
      context.moveTo(x + inner * Math.cos(angle), y + inner * Math.sin(angle));
      context.lineTo(x + outer * Math.cos(angle), y + outer * Math.sin(angle));
      const alpha = ticks * (0.45 + 0.55 * this.#heard[age]);
      context.strokeStyle = colour(this.#form, age / (TICKS / 2), { vivid, alpha });
      context.stroke();
    }
  }

  /** @param {CanvasRenderingContext2D} context @param {import("../voice-shape.js").Pose} pose */
  #drawBody(context, pose) {
    const { outline, vivid } = this.#look;
    context.globalAlpha = 1 - 0.9 * outline;
    drawShape(context, this.#form, pose, vivid);
    context.globalAlpha = outline;
    trace(context, this.#form, pose);
    context.setLineDash([10, 10]);
    context.lineDashOffset = -12 * this.#phase;
    context.lineCap = "round";
    context.lineWidth = 3;
    context.strokeStyle = colour(this.#form, 0.5, { vivid: Math.max(0.2, vivid), light: 0.62 });
    context.stroke();
    context.setLineDash([]);
    context.globalAlpha = 1;
  }
}
