/** Recording speech: one Recorder makes one take. */

import { audioContext } from "./sound.js";

/**
 * Formats and the extensions of their files. MP4 comes first: Safari claims WebM but writes broken files.
 * @type {[mimeType: string, extension: string][]}
 */
const FORMATS = [
  ["audio/mp4;codecs=mp4a.40.2", "m4a"],
  ["audio/webm;codecs=opus", "webm"],
  ["audio/ogg;codecs=opus", "ogg"],
];

const METER_MILLISECONDS = 50; // The analyser's 2048 samples last 43 ms at 48 kHz, so that little goes unmeasured.
const VERDICT_MEASUREMENTS = 30; // A verdict covers these latest measurements: a pause between words is not silence.
const SILENT_BELOW = -50; // dBFS RMS
/** dBFS: quiet below this RMS, loud above this peak. The limits of a sample are those that the server applies. */
export const LIMITS = { question: { quiet: -38, loud: -1 }, sample: { quiet: -22, loud: -3 } };
const STOP_SECONDS = 0.5; // before the limit, because stopping takes time and the server's limit is exact
/**
 * The level while the AudioContext does not run, as in Firefox without a loudspeaker. Recording works all the same.
 * @type {Measurement & {verdict: Verdict}}
 */
const UNMEASURED = { rms: -Infinity, peak: -Infinity, verdict: "unknown" };
const SPEECH_MEASUREMENTS = 4; // 200 ms; a click of the mouse is shorter

/**
 * @typedef {"unknown" | "silent" | "quiet" | "good" | "loud"} Verdict
 * @typedef {{rms: number, peak: number}} Measurement in dBFS
 * @typedef {Measurement & {verdict: Verdict, seconds: number}} Level `seconds` is the length of the take so far
 * @typedef {{blob: Blob, name: string, seconds: number, heard: boolean, interrupted: "" | "mute" | "ended"}} Take
 *   `heard` is false if nothing was louder than silence; `interrupted` tells how the system took the microphone away:
 *   for some time, as for a call ("mute"), or for good ("ended")
 * @typedef {{quiet: number, loud: number}} Limits in dBFS
 * @typedef {{limits: Limits, maxSeconds: number, onLevel: (level: Level) => void}} Options
 */

/** @param {number} amplitude */
const decibels = (amplitude) => 20 * Math.log10(amplitude);

/**
 * @param {Float32Array} samples
 * @returns {Measurement}
 */
export function measure(samples) {
  let power = 0;
  let peak = 0;
  for (const sample of samples) {
    power += sample * sample;
    peak = Math.max(peak, Math.abs(sample));
  }
  return { rms: decibels(Math.sqrt(power / samples.length)), peak: decibels(peak) };
}

/**
 * @param {Measurement[]} measurements
 * @param {Limits} limits
 * @returns {Verdict}
 */
export function judge(measurements, { quiet, loud }) {
  const rms = Math.max(...measurements.map((each) => each.rms));
  if (Math.max(...measurements.map((each) => each.peak)) > loud) return "loud";
  if (rms < SILENT_BELOW) return "silent";
  return rms < quiet ? "quiet" : "good";
}

export class Recorder {
  #analyser;
  #audibleCount = 0; // measurements above silence
  /** @type {Blob[]} */
  #chunks = [];
  #context;
  #extension;
  #finished;
  /** @type {"" | "mute" | "ended"} */
  #interrupted = "";
  #isStopped = false;
  /** @type {Measurement[]} */
  #latest = [];
  #limits;
  #maxSeconds;
  #measuredCount = 0;
  #media;
  #onLevel;
  #recorded = 0; // milliseconds until #runningSince
  /** @type {number | null} */
  #runningSince = null; // milliseconds; null while paused or over
  #source;
  #stream;
  #timer;

  /**
   * Ask for the microphone and record. Call it inside a click. Throws a DOMException, for `microphoneProblem`.
   * @param {{processing: boolean, deviceId?: string, stream?: MediaStream, maxSeconds: number,
   *   onLevel: (level: Level) => void}} options `processing` is the browser's echo cancellation, noise suppression and
   *   gain control: good for questions, harmful for cloning; a given `stream` is recorded instead of a new one, and
   *   ended with the take; the take ends by itself after `maxSeconds`
   * @returns {Promise<Recorder>}
   */
  static async start({ processing, deviceId, stream, maxSeconds, onLevel }) {
    const context = audioContext();
    const format = globalThis.MediaRecorder && FORMATS.find(([mimeType]) => MediaRecorder.isTypeSupported(mimeType));
    if (!format) throw new DOMException("no usable format", "NotSupportedError");
    const source = stream ?? (await microphoneStream(processing, deviceId));
    const limits = processing ? LIMITS.question : LIMITS.sample;
    return new Recorder(context, source, format, { limits, maxSeconds, onLevel });
  }

  /**
   * Only for Recorder.start.
   * @param {AudioContext} context
   * @param {MediaStream} stream
   * @param {[mimeType: string, extension: string]} format
   * @param {Options} options
   */
  constructor(context, stream, [mimeType, extension], { limits, maxSeconds, onLevel }) {
    this.#context = context;
    this.#stream = stream;
    this.#limits = limits;
    this.#maxSeconds = maxSeconds;
    this.#onLevel = onLevel;
    this.#extension = extension;
    this.#analyser = context.createAnalyser();
    this.#source = context.createMediaStreamSource(stream);
    this.#source.connect(this.#analyser);
    this.#timer = this.#startMeter();
    this.#media = new MediaRecorder(stream, { mimeType });
    this.#media.addEventListener("dataavailable", (event) => this.#chunks.push(event.data));
    /** @type {Promise<Take>} */
    this.#finished = new Promise((resolve) => {
      this.#media.addEventListener("stop", () => resolve(this.#finish()), { once: true });
    });
    const [track] = stream.getAudioTracks();
    track.addEventListener("mute", () => this.#interrupt("mute")); // A call or Siri on iOS.
    track.addEventListener("ended", () => this.#interrupt("ended")); // Unplugged, or the permission was withdrawn.
    this.#media.start(); // With a timeslice WebKit omits the header, and the file has no duration.
    this.#runningSince = performance.now();
  }

  /** Resolves when the take has ended, also by itself. @returns {Promise<Take>} */
  get finished() {
    return this.#finished;
  }

  get seconds() {
    const running = this.#runningSince === null ? 0 : performance.now() - this.#runningSince;
    return (this.#recorded + running) / 1000;
  }

  /** @param {boolean} isMuted whether it records only silence */
  set muted(isMuted) {
    for (const track of this.#stream.getTracks()) track.enabled = !isMuted;
  }

  get paused() {
    return this.#media.state === "paused";
  }

  pause() {
    this.#stopClock();
    this.#media.pause();
  }

  resume() {
    this.#media.resume();
    this.#runningSince = performance.now();
  }

  /** End the take and release the microphone. @returns {Promise<Take>} */
  stop() {
    this.#isStopped = true;
    this.#end();
    return this.#finished;
  }

  /** @param {"mute" | "ended"} reason */
  #interrupt(reason) {
    this.#interrupted ||= reason;
    this.#end();
  }

  #end() {
    if (this.#media.state !== "inactive") this.#media.stop();
  }

  #stopClock() {
    this.#recorded = this.seconds * 1000;
    this.#runningSince = null;
  }

  #startMeter() {
    const samples = new Float32Array(this.#analyser.fftSize);
    return setInterval(() => {
      if (this.seconds >= this.#maxSeconds - STOP_SECONDS) this.stop();
      if (this.paused) return;
      if (this.#context.state !== "running") {
        this.#onLevel({ ...UNMEASURED, seconds: this.seconds });
        return;
      }
      this.#analyser.getFloatTimeDomainData(samples);
      this.#report(measure(samples));
    }, METER_MILLISECONDS);
  }

  /** @param {Measurement} measurement */
  #report(measurement) {
    this.#measuredCount += 1;
    if (measurement.rms > SILENT_BELOW) this.#audibleCount += 1;
    this.#latest = [...this.#latest, measurement].slice(-VERDICT_MEASUREMENTS);
    this.#onLevel({ ...measurement, verdict: judge(this.#latest, this.#limits), seconds: this.seconds });
  }

  /** @returns {Take} */
  #finish() {
    this.#stopClock();
    clearInterval(this.#timer);
    this.#source.disconnect();
    for (const track of this.#stream.getTracks()) track.stop();
    return {
      blob: new Blob(this.#chunks, { type: this.#media.mimeType }),
      name: `recording.${this.#extension}`,
      seconds: this.#recorded / 1000,
      heard: this.#measuredCount === 0 || this.#audibleCount >= SPEECH_MEASUREMENTS, // Unmeasured, it may hold speech.
      interrupted: this.#isStopped ? "" : this.#interrupted || "ended",
    };
  }
}

/**
 * Ask for the microphone. Throws a DOMException, for `microphoneProblem`.
 * @param {boolean} processing whether the browser cancels echo, suppresses noise and controls the gain
 * @param {string} [deviceId]
 * @returns {Promise<MediaStream>}
 */
export async function microphoneStream(processing, deviceId) {
  if (!navigator.mediaDevices) throw new DOMException("no secure context", "SecurityError");
  return navigator.mediaDevices.getUserMedia({
    audio: {
      deviceId,
      channelCount: 1,
      echoCancellation: processing,
      noiseSuppression: processing,
      autoGainControl: processing,
    },
  });
}

/** @type {Record<string, string>} */
const PROBLEMS = {
  NotAllowedError: "microphone-denied",
  NotFoundError: "microphone-missing",
  NotReadableError: "microphone-busy",
  NotSupportedError: "microphone-unsupported",
};

/**
 * @param {unknown} error thrown by Recorder.start
 * @returns {string} the key of the text that suggests a solution
 */
export function microphoneProblem(error) {
  if (!navigator.mediaDevices) return "microphone-insecure";
  return PROBLEMS[/** @type {Error} */ (error).name] ?? "microphone-failed";
}
