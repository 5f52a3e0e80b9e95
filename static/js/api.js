/** The application's API: session cookie, CSRF token, one error shape. */

import { find } from "./elements.js";
import { text } from "./page.js";

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

function connectionLost() {
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
    return new ApiError({ ...JSON.parse(body).error, retryable });
  } catch {
    return new ApiError({ code: "answer_invalid", message: text("server-failed"), retryable });
  }
}

const csrfToken = () => find(document, "meta[name=csrf-token]", "meta").content;

/**
 * Send a request and return the response. Throws an ApiError, or the AbortError of an aborted `signal`.
 * @param {"POST" | "PATCH" | "DELETE"} method
 * @param {string} url
 * @param {{body?: FormData | object, accept?: string, signal?: AbortSignal}} [options] a plain object is sent as JSON
 * @returns {Promise<Response>}
 */
export async function request(method, url, { body = {}, accept = "application/json", signal } = {}) {
  const isForm = body instanceof FormData;
  /** @type {Record<string, string>} */
  const headers = { Accept: accept, "X-CSRFToken": csrfToken() };
  if (!isForm) headers["Content-Type"] = "application/json";
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
export function upload(url, form, onProgress) {
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
