/** Takes that are not sent yet, stored in the browser's IndexedDB: they survive a closed tab and a failed upload. */

const KEPT_MILLISECONDS = 7 * 24 * 3600 * 1000; // Older takes are deleted.

/**
 * @typedef {{code: string, label: string, value: string, passed: boolean, word: string, advice: string}} QualityPoint
 * @typedef {{id?: number, blob: Blob, name: string, seconds: number, points?: QualityPoint[], refusal?: string,
 *   problem?: string, challenge?: string, until?: number}} Take
 *   `points` are the server's measurements, `refusal` is its reason for not using the take; both are missing before the
 *   server has checked it. `problem` tells why it could not, for now. A take of a statement of consent has the id of
 *   its `challenge`, and is of use `until` then, in milliseconds since 1970
 * @typedef {"sample" | "consent"} Kind
 * @typedef {Take & {id: number, kept: number, owner: string, kind?: Kind}} StoredTake `kept` in milliseconds since 1970
 */

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function resultOf(request) {
  return new Promise((resolve, reject) => {
    request.addEventListener("success", () => resolve(request.result));
    request.addEventListener("error", () => reject(request.error));
  });
}

/** @returns {Promise<IDBDatabase>} */
function openDatabase() {
  const request = indexedDB.open("voiceclone", 1);
  request.addEventListener("upgradeneeded", () => {
    request.result.createObjectStore("takes", { keyPath: "id", autoIncrement: true });
  });
  return resultOf(request);
}

export class TakeStore {
  #database;
  #kind;
  #owner;

  /**
   * Rejects if the browser stores nothing, as in some private windows.
   * @param {string} owner the user's id: people who share a browser do not share takes
   * @param {Kind} kind
   * @returns {Promise<TakeStore>}
   */
  static async open(owner, kind) {
    return new TakeStore(await openDatabase(), owner, kind);
  }

  /**
   * Only for TakeStore.open.
   * @param {IDBDatabase} database
   * @param {string} owner
   * @param {Kind} kind
   */
  constructor(database, owner, kind) {
    this.#database = database;
    this.#owner = owner;
    this.#kind = kind;
  }

  /**
   * Return the owner's takes of the kind, oldest first, and delete all expired ones.
   * @returns {Promise<Take[]>}
   */
  async all() {
    /** @type {StoredTake[]} */
    const takes = await resultOf(this.#takes("readonly").getAll());
    const expired = takes.filter((take) => (take.until ?? take.kept + KEPT_MILLISECONDS) < Date.now());
    await Promise.all(expired.map((take) => this.remove(take)));
    return takes.filter((take) => this.#isOurs(take) && !expired.includes(take));
  }

  /** Store a new take, or the changes to a stored one, and set its id. @param {Take} take */
  async save(take) {
    const row = { kept: Date.now(), ...take, owner: this.#owner, kind: this.#kind };
    const id = await resultOf(this.#takes("readwrite").put(row));
    take.id = Number(id);
  }

  /** @param {Take} take */
  async remove({ id }) {
    if (id !== undefined) await resultOf(this.#takes("readwrite").delete(id));
  }

  /** @param {StoredTake} take */
  #isOurs({ owner, kind = "sample" }) {
    return owner === this.#owner && kind === this.#kind;
  }

  /** @param {IDBTransactionMode} mode */
  #takes(mode) {
    return this.#database.transaction("takes", mode).objectStore("takes");
  }
}
