/** A live session: the microphone is heard while someone speaks, and answers come over the same socket. */

import { ask } from "../asking.js";
import { showConnection } from "../turn-state.js";
import { ASKING } from "./answers.js";
import { Capture } from "./capture.js";
import { LiveMicrophone, turnDetection } from "./microphone.js";
import { LivePlayer } from "./playback.js";
import { LiveSocket } from "./socket.js";
import { LiveTurns } from "./turns.js";
import { Uplink } from "./uplink.js";

const STOP_SECONDS = 0.5; // before the limit: the server's is exact

/** @typedef {import("../recorder.js").Take} Take */
/** @typedef {import("./microphone.js").TurnDetection} TurnDetection */

export class LiveSession {
  /** @type {Capture | null} */
  #capture = null;
  #context;
  /** @type {TurnDetection} */
  #detection = null; // null: The button tells when a question ends.
  #isAsked = false; // The button has ended the question.
  #isStale = false; // The settings of the conversation have changed.
  #options;
  #retried = ""; // the id of a turn that waits for the socket
  /** @type {LiveSocket} */
  #socket;
  /** @type {LiveTurns} */
  #turns;
  #typed = ""; // a question that waits for its answer
  /** @type {Uplink} */
  #uplink;

  /**
   * @param {AudioContext} context it has the worklets
   * @param {import("./live.js").Options} options
   */
  constructor(context, options) {
    this.#context = context;
    this.#options = options;
    this.#socket = new LiveSocket({
      onOpen: () => this.#opened(),
      onEvent: (event) => this.#turns.handle(event),
      onLost: () => this.#lost(),
      onGivenUp: () => this.#gaveUp(),
    });
    this.#uplink = new Uplink(this.#socket, options.maxSeconds);
    this.#turns = new LiveTurns({
      send: (type, fields) => this.#socket.send(type, fields),
      player: new LivePlayer(context),
      take: () => this.#uplink.take(),
      onStarted: (milliseconds) => this.#uplink.speechStarted(milliseconds),
      onStopped: (milliseconds) => this.#speechStopped(milliseconds),
      onAnswered: () => this.#answered(),
      onIdle: () => this.#renewIfStale(),
    });
  }

  get isGivenUp() {
    return this.#socket.isGivenUp;
  }

  /** Record one question, which is heard while it is recorded. Throws a DOMException, for `microphoneProblem`. */
  async record() {
    /** @type {(reason: Take["interrupted"]) => void} */
    let end = () => {};
    /** @type {Promise<Take["interrupted"]>} */
    const ended = new Promise((resolve) => (end = resolve));
    const capture = await this.#openMicrophone(null, end);
    this.#turns.begin();
    this.#uplink.beginQuestion();
    return {
      finished: ended.then(async (interrupted) => {
        await this.#closeMicrophone();
        return { ...this.#uplink.take(), heard: capture.isHeard, interrupted };
      }),
      stop: () => end(""),
      send: (/** @type {Take} */ take) => this.#ask(take),
      discard: () => this.#discard(),
    };
  }

  /** Listen for one question after the other. Throws a DOMException, for `microphoneProblem`. */
  async listen() {
    await this.#openMicrophone(turnDetection(), (reason) => reason && this.#options.onMicrophoneLost());
    this.#uplink.skip();
    return new LiveMicrophone({
      socket: this.#socket,
      turns: this.#turns,
      detect: (detection) => this.#detect(detection),
      mute: (isMuted) => {
        if (this.#capture) this.#capture.muted = isMuted;
      },
      close: () => {
        this.#closeMicrophone();
        this.#discard();
      },
    });
  }

  /** Whether the server listens, so that it can be asked in writing, too. */
  get isInUse() {
    return !this.isGivenUp && !this.#turns.isBeginning && (this.#capture !== null || this.#socket.isOpen);
  }

  /** Ask a typed question. @param {string} text */
  async askTyped(text) {
    await this.#turns.stopAnswer();
    this.#typed = text;
    const answered = this.#turns.askTyped(text);
    if (this.#socket.isOpen) this.#sendTyped();
    else this.#socket.open();
    await answered;
  }

  /** Ask the question of a turn that failed again. @param {import("../turn-view.js").TurnView} view */
  async retry(view) {
    await this.#turns.stopAnswer();
    this.#retried = view.id;
    const answered = this.#turns.retry(view);
    if (this.#socket.isOpen) this.#sendRetried();
    else this.#socket.open();
    await answered;
  }

  #sendRetried() {
    this.#socket.send("response.create", { event_id: ASKING, response: { turn_id: this.#retried } });
    this.#retried = ""; // If the connection is lost, the turn tells whether this has arrived.
    this.#turns.received();
  }

  #sendTyped() {
    const content = [{ type: "input_text", text: this.#typed }];
    const item = { type: "message", role: "user", content };
    this.#socket.send("conversation.item.create", { event_id: ASKING, item });
    this.#socket.send("response.create", { event_id: ASKING });
  }

  /** Use the settings that the conversation has now. */
  renew() {
    this.#isStale = true;
    this.#renewIfStale();
  }

  #renewIfStale() {
    if (!this.#isStale || this.#turns.isAnswering) return; // A question that is spoken is sent again.
    this.#isStale = false;
    if (this.#socket.isOpen) this.#socket.renew();
  }

  /**
   * @param {TurnDetection} detection
   * @param {(reason: Take["interrupted"]) => void} onEnd the microphone was taken away, or a question is as long as it
   *   may be
   */
  async #openMicrophone(detection, onEnd) {
    const capture = await Capture.open(this.#context, {
      onPiece: (piece) => {
        if (capture.isHeard) this.#socket.open(); // Silence needs none.
        this.#uplink.add(piece, detection === null || capture.isHeard);
      },
      onLevel: (level) => {
        this.#options.onLevel(level);
        if (level.seconds > this.#options.maxSeconds - STOP_SECONDS) onEnd("");
      },
      onLost: onEnd,
    });
    this.#capture = capture;
    this.#detect(detection);
    return capture;
  }

  async #closeMicrophone() {
    const capture = this.#capture;
    this.#capture = null;
    await capture?.stop();
  }

  /** @param {TurnDetection} detection */
  #detect(detection) {
    this.#detection = detection;
    const input = { turn_detection: detection };
    this.#socket.send("session.update", { session: { type: "realtime", audio: { input } } });
  }

  /** @param {Take} take */
  async #ask(take) {
    if (this.isGivenUp) {
      this.#discard();
      await ask({ take });
      return;
    }
    this.#isAsked = true;
    const answered = this.#turns.ask(take);
    if (this.#socket.isOpen) this.#commit();
    else this.#socket.open();
    await answered;
  }

  #commit() {
    this.#uplink.send();
    for (const type of ["input_audio_buffer.commit", "response.create"]) this.#socket.send(type, { event_id: ASKING });
  }

  #discard() {
    this.#answered();
    this.#turns.discard();
    this.#socket.send("input_audio_buffer.clear");
    this.#detect(null);
  }

  #answered() {
    this.#uplink.forgetQuestion();
    this.#isAsked = false;
    this.#typed = "";
  }

  /** @param {number} milliseconds */
  #speechStopped(milliseconds) {
    const ago = this.#uplink.speechStopped(milliseconds);
    performance.mark("question-ended", { startTime: performance.now() - ago });
  }

  #opened() {
    showConnection(true);
    this.#uplink.startOver();
    this.#detect(this.#detection);
    if (this.#capture) this.#uplink.send();
    if (this.#isAsked) this.#commit();
    if (this.#typed) this.#sendTyped();
    if (this.#retried) this.#sendRetried();
  }

  #lost() {
    if (this.#turns.recover()) this.#answered(); // The server goes on with it.
    this.#turns.connectionLost();
    const isNeeded = this.#capture !== null || this.#isAsked || this.#turns.isIncomplete;
    showConnection(!isNeeded);
    return isNeeded;
  }

  #gaveUp() {
    showConnection(true);
    const take = this.#uplink.hasQuestion && !this.#turns.isAnswering ? this.#uplink.take() : null;
    this.#turns.giveUp();
    if (this.#capture && this.#detection) this.#options.onGivenUp(take);
  }
}
