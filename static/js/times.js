/**
 * Times in the visitor's zone. The server writes <time datetime="…Z" data-style="full | day | time | recent"> in UTC,
 * which stays where no script runs; "recent" leaves out the day if it is today. A date without a time, such as a day
 * of the usage, is a day in UTC for everybody. <time data-now> becomes the moment in which it is added.
 */

const page = document.documentElement.lang || "en";
// The visitor's own variety of the page's language, such as British English with its order of days and months.
const language = navigator.languages.find((name) => name.split("-")[0] === page.split("-")[0]) ?? page;

/** @type {Record<string, Intl.DateTimeFormatOptions>} */
const STYLES = {
  full: { dateStyle: "long", timeStyle: "short" },
  day: { dateStyle: "long" },
  time: { timeStyle: "short" },
  utc: { dateStyle: "long", timeZone: "UTC" },
  exact: { dateStyle: "full", timeStyle: "long" },
};

/** @type {Map<string, Intl.DateTimeFormat>} */
const formats = new Map();

/**
 * @param {Date} moment
 * @param {string} style a key of STYLES
 * @returns {string} the moment in the visitor's zone and the page's language
 */
export function formatted(moment, style) {
  const format = formats.get(style) ?? new Intl.DateTimeFormat(language, STYLES[style]);
  formats.set(style, format);
  return format.format(moment);
}

/**
 * @param {number} days 0 for today, -1 for yesterday
 * @returns {string} "Today" or "Yesterday" in the page's language
 */
export function nearDay(days) {
  const name = new Intl.RelativeTimeFormat(language, { numeric: "auto" }).format(days, "day");
  return name.charAt(0).toLocaleUpperCase(language) + name.slice(1);
}

/** @param {HTMLTimeElement} element @param {Date} moment */
function styleOf({ dataset }, moment) {
  if (dataset.style !== "recent") return dataset.style ?? "full";
  return moment.toDateString() === new Date().toDateString() ? "time" : "full";
}

/** @param {HTMLTimeElement} element */
function show(element) {
  if ("now" in element.dataset) {
    delete element.dataset.now;
    element.dateTime = new Date().toISOString();
  }
  const moment = new Date(element.dateTime);
  if (Number.isNaN(moment.getTime())) return;
  const isDay = !element.dateTime.includes("T");
  const text = formatted(moment, isDay ? "utc" : styleOf(element, moment));
  if (element.textContent !== text) element.textContent = text;
  if (!isDay) element.title = formatted(moment, "exact");
}

/** @param {Node} root */
function showAll(root) {
  if (!(root instanceof Element)) return;
  if (root instanceof HTMLTimeElement) show(root);
  for (const element of root.getElementsByTagName("time")) show(element);
}

showAll(document.body);
new MutationObserver((changes) => {
  for (const { target, type, addedNodes } of changes) {
    if (type === "attributes") showAll(target);
    for (const node of addedNodes) showAll(node);
  }
}).observe(document.body, { attributeFilter: ["datetime"], childList: true, subtree: true });
