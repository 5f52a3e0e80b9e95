/** Recording speech: one Recorder is one take. */

import { audioContext } from "./sound.js";

/** MP4 first: Safari claims WebM but writes broken files. */
const TYPES = [
  ["audio/mp4;codecs=mp4a.40.2", "m4a"],
  ["audio/webm;codecs=opus", "webm"],
  ["audio/ogg;codecs=opus", "ogg"],
];

const METER_INTERVAL = 50; // milliseconds; the analyser's 2048 samples last 43 at 48 kHz, so little goes unmeasured
const MEMORY = 30; // measurements that a verdict looks back on: pauses between words are no silence
const SILENT_BELOW = -50; // dBFS RMS
/** dBFS: quiet below this RMS, loud above this peak. A sample has to meet what the server measures it against. */
const LIMITS = { question: { quiet: -38, loud: -1 }, sample: { quiet: -22, loud: -3 } };
const STOPPING = 0.5; // seconds before the limit: stopping takes its time, and the server's limit is sharp
/** Sound goes into a recording without going through the page's AudioContext, as in Firefox where no loudspeaker is. */
const UNMEASURED = { rms: -Infinity, peak: -Infinity, verdict: "unknown" };
const SPEECH_MEASUREMENTS = 4; // a fifth of a second; a click of the mouse is shorter

/**
 * @typedef {"unknown" | "silent" | "quiet" | "good" | "loud"} Verdict
 * @typedef {{rms: number, peak: number, verdict: Verdict, seconds: number}} Level rms, peak in dBFS; the take's length
 * @typedef {{blob: Blob, name: string, seconds: number, heard: boolean,
 *   interrupted: "" | "mute" | "ended"}} Take `heard` is false where nothing rose above silence; `interrupted` tells
 *   how the system took the microphone away: for a while, as for a call, or for good
 */

const decibels = (amplitude) => 20 * Math.log10(amplitude);

/** @param {number} rms dBFS @returns {number} 0 to 1, as a meter shows it */
export const loudness = (rms) => Math.min(1, Math.max(0, (rms + 60) / 50));

function measure(samples) {
  let power = 0;
  let peak = 0;
  for (const sample of samples) {
    power += sample * sample;
    peak = Math.max(peak, Math.abs(sample));
  }
  return { rms: decibels(Math.sqrt(power / samples.length)), peak: decibels(peak) };
}

function judge(levels, { quiet, loud }) {
  const rms = Math.max(...levels.map((level) => level.rms));
  if (Math.max(...levels.map((level) => level.peak)) > loud) return "loud";
  if (rms < SILENT_BELOW) return "silent";
  return rms < quiet ? "quiet" : "good";
}

export class Recorder {
  #analyser;
  #chunks = [];
  #extension;
  #finished;
  #interrupted = ""; // what the track said
  #levels = [];
  #limits;
  #maxSeconds;
  #media;
  #measured = 0;
  #onLevel;
  #recorded = 0; // milliseconds, up to #since
  #since = null; // when recording went on last; null while it does not
  #source;
  #speech = 0;
  #stopped = false;
  #stream;
  #timer;

  /**
   * Ask for the microphone and record. Call it inside a click. Throws a DOMException, for `microphoneProblem`.
   * @param {{processing: boolean, deviceId?: string, stream?: MediaStream, maxSeconds: number,
   *   onLevel: (level: Level) => void}} options `processing` is the browser's echo cancellation, noise suppression and
   *   gain control: good for questions, harmful for cloning; a `stream` is recorded, and ended, instead of a new one;
   *   after `maxSeconds` the take ends by itself
   * @returns {Promise<Recorder>}
   */
  static async start({ processing, deviceId, stream, maxSeconds, onLevel }) {
    const context = audioContext();
    const type = globalThis.MediaRecorder && TYPES.find(([name]) => MediaRecorder.isTypeSupported(name));
    if (!type) throw new DOMException("no usable format", "NotSupportedError");
    const source = stream ?? (await microphoneStream(processing, deviceId));
    const limits = processing ? LIMITS.question : LIMITS.sample;
    return new Recorder(context, source, type, { limits, maxSeconds, onLevel });
  }

  /** For Recorder.start alone. */
  constructor(context, stream, [mimeType, extension], { limits, maxSeconds, onLevel }) {
    this.#stream = stream;
    this.#limits = limits;
    this.#maxSeconds = maxSeconds;
    this.#onLevel = onLevel;
    this.#extension = extension;
    this.#listen(context);
    this.#media = new MediaRecorder(stream, { mimeType });
    this.#media.addEventListener("dataavailable", (event) => this.#chunks.push(event.data));
    this.#finished = new Promise((resolve) => {
      this.#media.addEventListener("stop", () => resolve(this.#finish()), { once: true });
    });
    const [track] = stream.getAudioTracks();
    track.addEventListener("mute", (event) => this.#interrupt(event)); // A call or Siri, on iOS.
    track.addEventListener("ended", (event) => this.#interrupt(event)); // Unplugged, or permission taken back.
    this.#media.start(); // With a timeslice WebKit drops the header, and no file has a duration.
    this.#since = performance.now();
  }

  /** Settles when the take is over, whoever ended it. @returns {Promise<Take>} */
  get finished() {
    return this.#finished;
  }

  get seconds() {
    const running = this.#since === null ? 0 : performance.now() - this.#since;
    return (this.#recorded + running) / 1000;
  }

  get paused() {
    return this.#media.state === "paused";
  }

  pause() {
    this.#holdClock();
    this.#media.pause();
  }

  resume() {
    this.#media.resume();
    this.#since = performance.now();
  }

  /** End the take and give the microphone back. @returns {Promise<Take>} */
  stop() {
    this.#stopped = true;
    this.#end();
    return this.#finished;
  }

  #interrupt({ type }) {
    this.#interrupted ||= type;
    this.#end();
  }

  #end() {
    if (this.#media.state !== "inactive") this.#media.stop();
  }

  #holdClock() {
    this.#recorded = this.seconds * 1000;
    this.#since = null;
  }

  #listen(context) {
    this.#analyser = context.createAnalyser();
    this.#source = context.createMediaStreamSource(this.#stream);
    this.#source.connect(this.#analyser);
    const samples = new Float32Array(this.#analyser.fftSize);
    this.#timer = setInterval(() => {
      if (this.seconds >= this.#maxSeconds - STOPPING) this.stop();
      if (this.paused) return;
      if (context.state !== "running") {
        this.#onLevel({ ...UNMEASURED, seconds: this.seconds });
        return;
      }
      this.#analyser.getFloatTimeDomainData(samples);
      this.#note(measure(samples));
    }, METER_INTERVAL);
  }

  #note(level) {
    this.#measured += 1;
    if (level.rms > SILENT_BELOW) this.#speech += 1;
    this.#levels = [...this.#levels, level].slice(-MEMORY);
    this.#onLevel({ ...level, verdict: judge(this.#levels, this.#limits), seconds: this.seconds });
  }

  #finish() {
    this.#holdClock();
    clearInterval(this.#timer);
    this.#source.disconnect();
    for (const track of this.#stream.getTracks()) track.stop();
    return {
      blob: new Blob(this.#chunks, { type: this.#media.mimeType }),
      name: `recording.${this.#extension}`,
      seconds: this.#recorded / 1000,
      heard: this.#measured === 0 || this.#speech >= SPEECH_MEASUREMENTS, // Unmeasured, it has the benefit of the doubt
      interrupted: this.#stopped ? "" : this.#interrupted || "ended",
    };
  }
}

/**
 * Ask for the microphone. Throws a DOMException, for `microphoneProblem`.
 * @param {boolean} processing whether the browser takes echo and noise away and levels the voice
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

/**
 * @param {DOMException} error what Recorder.start threw
 * @returns {string} the key of the text that says what to do
 */
export function microphoneProblem(error) {
  if (!navigator.mediaDevices) return "microphone-insecure";
  const keys = {
    NotAllowedError: "microphone-denied",
    NotFoundError: "microphone-missing",
    NotReadableError: "microphone-busy",
    NotSupportedError: "microphone-unsupported",
  };
  return keys[error.name] ?? "microphone-failed";
}

/**
 * The microphones that may be used. Browsers name them only after permission; before, the list is empty.
 * @returns {Promise<MediaDeviceInfo[]>}
 */
export async function microphones() {
  const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  return devices.filter((device) => device.kind === "audioinput" && device.label);
}
