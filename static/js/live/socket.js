/** The socket of a live session: opened when it is needed, and opened again when it breaks. */

import { conversationId } from "../conversation-settings.js";

const RETRY_MILLISECONDS = [0, 250, 500, 1000, 2000, 4000]; // before each attempt after a failure
const OPENING_MILLISECONDS = 10000;
const STEADY_MILLISECONDS = 10000; // A socket that stays open for so long counts as no failure.
const MAX_BUFFERED = 2 ** 18; // bytes: four seconds of sound that the network has not taken
const POLICY_VIOLATION = 1008;

/** @typedef {Record<string, any> & {type: string}} ServerEvent of OpenAI's Realtime protocol */

export class LiveSocket {
  #callbacks;
  #failures = 0;
  #openedAt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {WebSocket | null} */
  #socket = null;
  #wasOpen = false;

  /** Whether nothing can be expected of a socket any more. */
  isGivenUp = false;
  /** Whether a session is open. */
  isOpen = false;

  /**
   * @param {{onOpen: () => void, onEvent: (event: ServerEvent) => void, onLost: () => boolean, onGivenUp: () => void}}
   *   callbacks `onLost` returns whether the socket is needed now
   */
  constructor(callbacks) {
    this.#callbacks = callbacks;
  }

  /** Whether the network takes what is sent. */
  get isFlowing() {
    return this.isOpen && (this.#socket?.bufferedAmount ?? 0) < MAX_BUFFERED;
  }

  /** Open the socket, if it is not. */
  async open() {
    if (this.#socket || this.#timer !== undefined || this.isGivenUp) return;
    const timer = setTimeout(() => this.#lost(0), OPENING_MILLISECONDS);
    this.#timer = timer;
    try {
      const url = await address();
      if (this.#timer !== timer) return; // It was given up in the meantime.
      const socket = new WebSocket(url);
      this.#socket = socket;
      socket.addEventListener("message", ({ data }) => this.#received(socket, JSON.parse(data)));
      socket.addEventListener("close", ({ code }) => {
        if (socket === this.#socket) this.#lost(code);
      });
    } catch {
      if (this.#timer === timer) this.#giveUp(); // There is no conversation, or a policy forbids the socket.
    }
  }

  /** Open another session in the place of this one, which has begun with other settings. */
  renew() {
    this.#drop();
    this.#callbacks.onLost();
    this.open();
  }

  /**
   * @param {string} type
   * @param {object} [fields]
   */
  send(type, fields = {}) {
    if (this.isOpen) this.#socket?.send(JSON.stringify({ type, ...fields }));
  }

  /**
   * @param {WebSocket} socket
   * @param {ServerEvent} event
   */
  #received(socket, event) {
    if (socket !== this.#socket) return;
    if (event.type === "session.created") {
      this.#stopTimer();
      this.isOpen = this.#wasOpen = true;
      this.#openedAt = performance.now();
      this.#callbacks.onOpen();
    }
    this.#callbacks.onEvent(event);
  }

  /** @param {number} code of the close event */
  #lost(code) {
    if (this.isOpen && performance.now() - this.#openedAt > STEADY_MILLISECONDS) this.#failures = 0;
    this.#drop();
    const isRefused = code === POLICY_VIOLATION || !this.#wasOpen;
    if (isRefused || this.#failures === RETRY_MILLISECONDS.length) {
      this.#giveUp();
    } else if (this.#callbacks.onLost()) {
      const wait = RETRY_MILLISECONDS[this.#failures];
      this.#failures += 1;
      this.#timer = setTimeout(() => {
        this.#timer = undefined;
        this.open();
      }, wait);
    }
  }

  #giveUp() {
    this.#drop();
    this.isGivenUp = true;
    this.#callbacks.onGivenUp();
  }

  #drop() {
    const socket = this.#socket;
    this.#stopTimer();
    this.#socket = null;
    this.isOpen = false;
    socket?.close();
  }

  #stopTimer() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

/** Return the address of the conversation's socket. The conversation is created if there is none yet. */
async function address() {
  const id = await conversationId(AbortSignal.timeout(OPENING_MILLISECONDS));
  return `${location.origin.replace(/^http/, "ws")}/v1/realtime?conversation=${id}&finish=true`;
}
