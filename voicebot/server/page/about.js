// What the server has, before anybody talks to it: documents, questions they answer, and voices.

import { key } from "./kept.js";

const NAMED = 70; // letters of the documents' names that are shown: two lines on a phone
const SAMPLE = "Hello. This is how I sound.";
const $ = (id) => document.getElementById(id);

export async function about(ask) {
  const told = await get("v1/documents");
  if (!told) return;
  const names = told.data.map((document) => document.id);
  $("sources").textContent = told.quotes ? quoting(names) : names.length ? `It knows ${list(names)}.` : "";
  $("questions").replaceChildren(...told.questions.map((question) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "question";
    button.textContent = question;
    button.dir = "auto";
    button.onclick = () => ask(question);
    const item = document.createElement("li");
    item.append(button);
    return item;
  }));
  $("questions").hidden = !told.questions.length;
}

export async function voices() {
  const told = await get("v1/audio/voices");
  return told?.voices.map((voice) => voice.id);
}

// As samples: what a page may play is then the same as in a conversation.
export async function sample(voice, context) {
  const wish = { model: "tts-1", input: SAMPLE, response_format: "wav", ...(voice && { voice }) };
  const answer = await fetch("v1/audio/speech", {
    method: "POST",
    headers: { "Content-Type": "application/json", ...permission() },
    body: JSON.stringify(wish),
  });
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error?.message ?? answer.statusText);
  const source = new AudioBufferSourceNode(context, { buffer: await context.decodeAudioData(await answer.arrayBuffer()) });
  return source;
}

function quoting(names) {
  if (!names.length) return "It has no documents to quote, and no language model is here.";
  return `It quotes ${list(names)}, word for word; no language model is here.`;
}

function list(names) {
  let letters = 0;
  const few = names.filter((name, at) => (letters += name.length) <= NAMED || !at);
  const shown = few.map((name) => (name.length > NAMED ? `${name.slice(0, NAMED)}…` : name));
  const more = names.length - few.length;
  if (more) shown.push(more === 1 ? "one more" : `${more} more documents`);
  return new Intl.ListFormat("en").format(shown);
}

async function get(path) {
  try {
    const answer = await fetch(path, { headers: permission() });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null; // nobody answers; the button will say so
  }
}

function permission() {
  return key() ? { Authorization: `Bearer ${key()}` } : {};
}
