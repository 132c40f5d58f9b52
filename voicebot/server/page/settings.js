// What a person chooses: the devices, the voice they hear, the language they speak.

import { key } from "./kept.js";
import { canChooseSpeaker } from "./sound.js";

const STORE = "voicebot.choices"; // kept for good, unlike a conversation
const $ = (id) => document.getElementById(id);

export class Settings {
  // on: { microphone(device), speaker(device), choose(choices) }
  constructor(on, sound) {
    this.sound = sound;
    $("settings-open").onclick = () => {
      this.listDevices();
      $("key-forget").hidden = !key();
      $("settings").showModal();
    };
    $("microphone").onchange = () => on.microphone(this.microphone);
    $("speaker").onchange = () => on.speaker($("speaker").value);
    $("speaker-label").hidden = !canChooseSpeaker;
    if (navigator.mediaDevices) navigator.mediaDevices.ondevicechange = () => this.listDevices();
    $("hold").checked = Boolean(remembered().hold);
    $("hold").onchange = () => {
      remember({ ...remembered(), hold: $("hold").checked });
      on.hold();
    };
    for (const id of ["voice", "language"])
      $(id).onchange = () => {
        const choice = { [id]: $(id).value };
        remember({ ...remembered(), ...choice });
        on.choose(choice);
      };
  }

  get open() {
    return $("settings").open;
  }

  get holds() {
    return $("hold").checked;
  }

  // The voices there are, before a conversation tells which.
  // names: undefined where the server cannot be asked to speak; then none is heard beforehand.
  offerVoices(names) {
    $("hear").hidden = !names;
    this.offerAmong("voice", names ?? []);
  }

  // One is no choice, but a voice can be heard before it speaks.
  offerAmong(id, names) {
    fill($(id), names.map((name) => [name, label(name)]).sort(byLabel), remembered()[id]);
    const choice = names.length > 1;
    $(`${id}-label`).hidden = !choice && (id !== "voice" || $("hear").hidden);
    if (id !== "voice") return;
    $(id).hidden = $("voice-name").hidden = !choice;
    $("hear").textContent = choice ? "Hear it" : "Hear its voice";
  }

  get microphone() {
    return $("microphone").value;
  }

  async listDevices() {
    const devices = await this.sound.devices();
    for (const [id, kind] of [["microphone", "audioinput"], ["speaker", "audiooutput"]]) {
      const found = devices.filter((device) => device.kind === kind);
      fill($(id), found.map((device) => [device.deviceId, device.label]), $(id).value);
    }
    $("devices-hint").hidden = devices.length > 0;
  }

  // What the server has, and what is set. Returns what is to be set instead, because it was chosen.
  offer(told) {
    const other = {};
    for (const [id, names] of [["voice", told.voices], ["language", told.languages]]) {
      this.offerAmong(id, names);
      if ($(id).value !== told[id]) other[id] = $(id).value;
    }
    $("engines").hidden = !told.engines.length;
    $("engines").querySelector("ul").replaceChildren(
      ...told.engines.map((line) => Object.assign(document.createElement("li"), { textContent: line })),
    );
    return other;
  }
}

// The first option, which leaves it to others, stays.
function fill(select, options, chosen) {
  select.replaceChildren(select.options[0], ...options.map(([value, text]) => new Option(text, value)));
  select.value = options.some(([value]) => value === chosen) ? chosen : "";
}

function byLabel([, one], [, other]) {
  return one.localeCompare(other);
}

// "de" and "en-gb" are better known by their names.
function label(name) {
  try {
    const called = new Intl.DisplayNames(undefined, { type: "language", fallback: "none" }).of(name);
    return called ? `${called} (${name})` : name;
  } catch {
    return name; // "af_heart" is no language
  }
}

function remembered() {
  try {
    return JSON.parse(localStorage.getItem(STORE)) ?? {};
  } catch {
    return {};
  }
}

function remember(choices) {
  try {
    localStorage.setItem(STORE, JSON.stringify(choices));
  } catch {
    // Private windows may keep nothing; then it holds for this conversation.
  }
}
