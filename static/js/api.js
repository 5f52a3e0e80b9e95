/** The application's API: session cookie, CSRF token, one error shape. */

import { find } from "./elements.js";
import { text } from "./page.js";

const SIGNED_OUT = "not_authenticated";

/**
 * @typedef {{body?: FormData | object, accept?: string, signal?: AbortSignal, key?: string}} Options a plain object is
 *   sent as JSON; the server carries a request with a `key` out once, and to its end
 */

/** The API refused a request or did not answer. The message is for people. */
export class ApiError extends Error {
  /**
   * @param {{code: string, message: string, fields?: Record<string, string[]>, details?: Record<string, unknown>,
   *   retryable?: boolean}} error
   */
  constructor({ code, message, fields = {}, details = {}, retryable = false }) {
    super(message);
    this.name = "ApiError";
    this.code = code;
    this.fields = fields;
    this.details = details;
    this.retryable = retryable;
  }
}

export function connectionLost() {
  return new ApiError({ code: "connection_lost", message: text("connection-lost"), retryable: true });
}

/**
 * @param {number} status
 * @param {string} body
 * @returns {ApiError}
 */
function refusal(status, body) {
  const retryable = status === 429 || status >= 500;
  try {
    const { error } = JSON.parse(body);
    const isSignedOut = error.code === SIGNED_OUT;
    const message = isSignedOut ? text(SIGNED_OUT) : error.message;
    return new ApiError({ ...error, message, retryable: retryable || isSignedOut });
  } catch {
    return new ApiError({ code: "answer_invalid", message: text("server-failed"), retryable });
  }
}

const csrfToken = () => find(document, "meta[name=csrf-token]", "meta").content;

/**
 * Fetch a page of this site, and take its token: someone who signed in again elsewhere has another one.
 * @param {string} url
 * @returns {Promise<Document>}
 */
export async function fetchPage(url) {
  const response = await fetch(url, { headers: { Accept: "text/html" } });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  /** @type {HTMLMetaElement | null} */
  const token = page.querySelector("meta[name=csrf-token]");
  if (token) find(document, "meta[name=csrf-token]", "meta").content = token.content;
  return page;
}

/**
 * Carry out a request, and once more with a new token if this was refused.
 * @template T
 * @param {() => Promise<T>} attempt
 * @returns {Promise<T>}
 */
async function withToken(attempt) {
  try {
    return await attempt();
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== "permission_denied") throw error;
    await fetchPage(location.href).catch(() => {}); // The next attempt tells the reason.
    return attempt();
  }
}

/**
 * Send a request and return the response. Throws an ApiError, or the AbortError of an aborted `signal`.
 * @param {"POST" | "PATCH" | "DELETE"} method
 * @param {string} url
 * @param {Options} [options]
 * @returns {Promise<Response>}
 */
export const request = (method, url, options) => withToken(() => send(method, url, options));

/**
 * @param {string} method
 * @param {string} url
 * @param {Options} [options]
 * @returns {Promise<Response>}
 */
async function send(method, url, { body = {}, accept = "application/json", signal, key } = {}) {
  const isForm = body instanceof FormData;
  /** @type {Record<string, string>} */
  const headers = { Accept: accept, "X-CSRFToken": csrfToken() };
  if (!isForm) headers["Content-Type"] = "application/json";
  if (key) headers["Idempotency-Key"] = key;
  let response;
  try {
    response = await fetch(url, { method, headers, body: isForm ? body : JSON.stringify(body), signal });
  } catch (error) {
    throw /** @type {Error} */ (error).name === "AbortError" ? error : connectionLost();
  }
  if (!response.ok) throw refusal(response.status, await response.text());
  return response;
}

/**
 * Return why the server does not send a file, or null if it does.
 * @param {string} url
 * @returns {Promise<ApiError | null>}
 */
export async function refusalOf(url) {
  try {
    const response = await fetch(url, { headers: { Accept: "application/json", Range: "bytes=0-0" } });
    return response.ok ? null : refusal(response.status, await response.text());
  } catch {
    return connectionLost();
  }
}

/**
 * Send a form and report the progress, which fetch cannot do. Rejects with an ApiError.
 * @param {string} url
 * @param {FormData} form
 * @param {(share: number) => void} onProgress called with the share that is sent, 0 to 1
 * @returns {Promise<any>} the JSON of the response
 */
export const upload = (url, form, onProgress) => withToken(() => transferred(url, form, onProgress));

/**
 * @param {string} url
 * @param {FormData} form
 * @param {(share: number) => void} onProgress
 * @returns {Promise<any>}
 */
function transferred(url, form, onProgress) {
  return new Promise((resolve, reject) => {
    const transfer = new XMLHttpRequest();
    transfer.open("POST", url);
    transfer.setRequestHeader("Accept", "application/json");
    transfer.setRequestHeader("X-CSRFToken", csrfToken());
    transfer.upload.addEventListener("progress", (event) => onProgress(event.loaded / event.total));
    transfer.addEventListener("error", () => reject(connectionLost()));
    transfer.addEventListener("load", () => {
      if (transfer.status >= 400) reject(refusal(transfer.status, transfer.responseText));
      else resolve(JSON.parse(transfer.responseText));
    });
    transfer.send(form);
  });
}
