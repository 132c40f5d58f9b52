// What outlives a reload: the conversation, as it was shown and as far as it got, and the key.

const PATH = new URL(".", document.baseURI).pathname; // other servers may have other paths of this origin
const CONVERSATION = `voicebot.conversation ${PATH}`;
const KEY = `voicebot.key ${PATH}`;
const MOST = 2000; // events: some hundred turns

export function conversation() {
  return read(sessionStorage, CONVERSATION) ?? {};
}

// Private windows may keep nothing, and others only so much; then a reload begins anew.
export function keep(about) {
  about.events.splice(0, about.events.length - MOST);
  if (write(sessionStorage, CONVERSATION, about)) return;
  about.events.splice(0, Math.ceil(about.events.length / 2));
  write(sessionStorage, CONVERSATION, about);
}

export function key() {
  return read(localStorage, KEY) ?? read(sessionStorage, KEY) ?? "";
}

// Without being told to keep it, a browser has it until its tab is closed.
export function keepKey(value, forGood) {
  forgetKey();
  write(forGood ? localStorage : sessionStorage, KEY, value);
}

export function forgetKey() {
  for (const store of [localStorage, sessionStorage])
    try {
      store.removeItem(KEY);
    } catch {
      // Where nothing can be kept there is nothing to forget.
    }
}

function read(store, name) {
  try {
    return JSON.parse(store.getItem(name));
  } catch {
    return null;
  }
}

function write(store, name, value) {
  try {
    store.setItem(name, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}
