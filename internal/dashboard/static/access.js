// Who may act: the token, what is asked before an action, and the action itself.
import { say } from './dom.js';

const byId = (id) => document.getElementById(id);

/** session is what this browser may do. */
export const session = { reading: false, acting: false, token_set: false, how: '' };

const watchers = [];

/** onSession calls f now and whenever the session changes. */
export function onSession(f) { watchers.push(f); }

/** learn asks the worker what this browser may do. */
export async function learn() {
  const answer = await fetch('/session');
  Object.assign(session, { how: '' }, await answer.json());
  for (const f of watchers) f(session);
}

/** get fetches JSON; its error has words for people. */
export async function get(path, signal) {
  return understand(await fetch(path, { signal }));
}

async function understand(response) {
  if (response.status === 204) return {};
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  if (response.status === 401 || response.status === 403) await learn();
  throw new Error(body.error ?? `the worker answers ${response.status}`);
}

async function send(method, path, body) {
  return understand(await fetch(path, {
    method, body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' },
  }));
}

/** ask shows a question and resolves to whether the answer is yes. */
export function ask(title, text, yes, grave = false) {
  const dialog = byId('ask');
  say(byId('ask-title'), title);
  say(byId('ask-text'), text);
  say(byId('ask-yes'), yes);
  byId('ask-yes').classList.toggle('grave', grave);
  dialog.returnValue = 'no';
  dialog.showModal();
  return closed(dialog).then(() => dialog.returnValue === 'yes');
}

/** closed resolves once a dialog is closed; that it was closed before may be told late. */
function closed(dialog) {
  return new Promise((resolve) => {
    dialog.addEventListener('close', function told() {
      if (dialog.open) return;
      dialog.removeEventListener('close', told);
      resolve();
    });
  });
}

/** signIn asks for the token; it resolves to whether this browser may act now. */
export function signIn() {
  const dialog = byId('sign-in');
  const fields = byId('sign-in-fields');
  fields.hidden = !session.token_set;
  byId('sign-in-yes').hidden = !session.token_set;
  say(byId('sign-in-title'), session.token_set ? 'Sign in' : 'No token is set');
  if (!session.token_set) say(byId('sign-in-why'), sentence(session.how));
  byId('token').value = '';
  byId('by').value = localStorage.getItem('by') ?? '';
  say(byId('sign-in-error'), '');
  dialog.showModal();
  return closed(dialog).then(() => session.acting);
}

byId('sign-in').querySelector('form').addEventListener('submit', async (event) => {
  event.preventDefault();
  try {
    await send('POST', '/session', { token: byId('token').value });
    localStorage.setItem('by', byId('by').value);
    byId('token').value = '';
    await learn();
    byId('sign-in').close('yes');
  } catch {
    say(byId('sign-in-error'), 'That is not the token.');
    byId('token').select();
  }
});

byId('sign-in-no').addEventListener('click', () => byId('sign-in').close('no'));

/** signOut forgets the token. */
export async function signOut() {
  await send('DELETE', '/session', {});
  await learn();
}

/**
 * act carries out an action, after a question if there is one, and says what came of it.
 * It resolves to what was done, or null.
 */
export async function act(name, ids, question, told) {
  if (!session.acting && !await signIn()) return null;
  if (question && !await ask(...question)) return null;
  try {
    const { done } = await send('POST', `/actions/${name}`, { ids, by: localStorage.getItem('by') ?? '' });
    toast(told(done));
    return done;
  } catch (error) {
    toast(`Not done: ${error.message}`, true);
    return null;
  }
}

let toastEnds;

/** toast says something for a few seconds. */
export function toast(text, bad = false) {
  const element = byId('toast');
  say(element, text);
  element.classList.toggle('bad', bad);
  element.hidden = false;
  clearTimeout(toastEnds);
  toastEnds = setTimeout(() => { element.hidden = true; }, bad ? 10000 : 5000);
}

/** sentence begins with a capital and ends with a stop. */
export function sentence(text) {
  return text ? text[0].toUpperCase() + text.slice(1).replace(/\.?$/, '.') : '';
}
