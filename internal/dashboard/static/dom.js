// Elements and words. Text becomes part of the page as text only: nothing here, or in any
// other file, takes a string for markup.

const svgNames = 'http://www.w3.org/2000/svg';

/** el makes an element; a child that is a string becomes text. */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** svg makes an element of a drawing. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(svgNames, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child != null));
  return element;
}

/** say sets an element's text if it is another. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** mark sets an attribute if it is another; null takes it away. */
export function mark(element, name, value) {
  if (value == null || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

const children = new WeakMap();

/**
 * keyed makes the children of parent those of items: what has the same key stays the same
 * element, so that it keeps its focus, its state and its motion.
 */
export function keyed(parent, items, keyOf, create, update) {
  const before = children.get(parent) ?? new Map();
  const now = new Map();
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    if (now.has(key)) continue;
    const element = before.get(key) ?? create(item);
    now.set(key, element);
    update(element, item);
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
  for (const [key, element] of before) if (!now.has(key)) element.remove();
  children.set(parent, now);
}

const counts = new Intl.NumberFormat('en');

/** number writes a count. */
export function number(n) { return counts.format(n ?? 0); }

/** plural writes a count with its noun. */
export function plural(n, one, many = `${one}s`) { return `${number(n)} ${Number(n) === 1 ? one : many}`; }

/** duration writes milliseconds as people say them. */
export function duration(ms) {
  if (ms == null) return '–';
  const sign = ms < 0 ? '−' : '';
  const s = Math.abs(ms) / 1000;
  if (s < 0.0995) return `${sign}${Math.round(s * 1000)} ms`;
  if (s < 9.95) return `${sign}${s.toFixed(1)} s`;
  if (s < 99.5) return `${sign}${Math.round(s)} s`;
  const m = Math.floor(s / 60);
  if (m < 60) return `${sign}${m} min ${String(Math.round(s % 60) % 60).padStart(2, '0')} s`;
  const h = Math.floor(m / 60);
  if (h < 48) return `${sign}${h} h ${String(m % 60).padStart(2, '0')} min`;
  return `${sign}${Math.floor(h / 24)} d ${h % 24} h`;
}

/** perSecond writes a rate. */
export function perSecond(n) {
  if (!n) return '0';
  return n < 9.95 ? n.toFixed(1) : number(Math.round(n));
}

const day = new Intl.DateTimeFormat('en-GB', { month: 'short', day: 'numeric' });
const clockForm = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });

/** clock writes a time of day, with its date if that is not today's. */
export function clock(at) {
  const time = new Date(at);
  if (Number.isNaN(time.getTime())) return 'some time';
  const text = clockForm.format(time);
  return time.toDateString() === new Date().toDateString() ? text : `${day.format(time)}, ${text}`;
}

/** bytes writes a length. */
export function bytes(n) {
  if (n < 1024) return plural(n, 'byte');
  if (n < 1024 * 1024) return `${(n / 1024).toFixed(1)} KiB`;
  return `${(n / 1024 / 1024).toFixed(1)} MiB`;
}

/**
 * visible shows what a text may hide: control characters, and those that turn the direction
 * of writing or take no room.
 */
export function visible(text) {
  return String(text).replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
    (c) => (c === '\t' ? '  ' : `\\u${c.codePointAt(0).toString(16).padStart(4, '0')}`));
}

/** instance names a worker: what tells two of one name apart stands back. */
export function instance(name) {
  const cut = name.lastIndexOf('-');
  return cut > 0
    ? el('span', { class: 'instance' }, visible(name.slice(0, cut)), el('i', {}, visible(name.slice(cut))))
    : el('span', { class: 'instance' }, visible(name));
}

/** commands show what does the same on a terminal. */
export function commands(...texts) {
  return el('p', { class: 'commands' }, el('span', { class: 'weak' }, 'On a terminal'), ...texts.map(command));
}

function command(text) {
  const button = el('button', { type: 'button', class: 'quiet copy', 'aria-label': `Copy: ${text}` }, 'Copy');
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(text);
      say(button, 'Copied');
    } catch { // the browser does not let us
      getSelection().selectAllChildren(button.previousElementSibling);
    }
    setTimeout(() => say(button, 'Copy'), 1500);
  });
  return el('span', { class: 'command' }, el('code', {}, text), navigator.clipboard ? button : null);
}
