// The page: one button, and what follows from it.

import { about, sample, voices } from "./about.js";
import { Call } from "./call.js";
import { forgetKey, keepKey } from "./kept.js";
import { Settings } from "./settings.js";
import { Sound, why } from "./sound.js";
import { Transcript } from "./transcript.js";
import { Voice } from "./voice.js";

const TOLD = 3000; // milliseconds that "Copied" stands on its button
const QUIETEST = -60; // decibels at the left end of the level
const $ = (id) => document.getElementById(id);
const STATES = {
  idle: "Ready when you are",
  connecting: "Connecting…",
  listening: "Listening",
  hearing: "Hearing you",
  thinking: "Thinking",
  speaking: "Speaking",
  muted: "Muted",
  typing: "Type a question",
  broken: "Connection lost, coming back…",
};

let state = "idle";
let stepShown; // of the microphone's level
let gate; // when we were told that the user had finished
let turn = 0; // the one that sounds
let interrupted; // the state in which the connection broke
let trouble = ""; // what stands in the notice until there is a connection
const transcript = new Transcript($("transcript"));
const sound = new Sound({ frame, played, lost });
const call = new Call({ event, sound: hearReply, connected, broken, over, refused, locked });
const settings = new Settings({ microphone: hearThrough, speaker: speakThrough, choose, hold: () => setMuted(settings.holds) }, sound);
const voice = new Voice($("voice-drawn"), () => sound.levels);

function show(next) {
  state = next;
  document.body.dataset.state = next;
  // The microphone would take a screen reader's voice for the user's.
  $("state").ariaLive = sound.hears && next !== "broken" ? "off" : "polite";
  // A new element has not moved, which one with other words in it would have.
  $("state").replaceChildren(Object.assign(document.createElement("span"), { textContent: STATES[next] }));
  const going = next !== "idle";
  if (going) voice.stir();
  $("keeping").hidden = !$("transcript").childElementCount;
  $("talk").classList.toggle("on", going && sound.hears);
  $("mute").disabled = !sound.hears;
  // Not `disabled`: a keyboard's user would lose the place.
  $("stop").ariaDisabled = !(next === "speaking" || next === "thinking");
  welcome();
  if (!going && ["mute", "stop"].includes(document.activeElement?.id)) $("talk").focus();
}

// What may be asked stands there until something was.
function welcome() {
  const begun = $("transcript").childElementCount > 0;
  if (begun && $("welcome").contains(document.activeElement)) $("transcript").focus();
  $("welcome").hidden = begun;
}

function rest() {
  if (!sound.hears) return show("typing");
  show(sound.muted ? "muted" : "listening");
}

function notice(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
}

// The connection

function join() {
  if (call.socket) return;
  show("connecting");
  call.begin(sound.rate);
}

function connected(resumed) {
  if (trouble) notice((trouble = ""));
  if (!resumed) {
    gate = undefined;
    sound.begin();
    transcript.begin();
  }
  if (sound.muted) call.say({ type: "mute" });
  if (resumed && interrupted) show(interrupted);
  else rest();
}

function broken(reason) {
  if (state !== "broken") interrupted = state;
  show("broken");
  if (reason) notice((trouble = `${reason[0].toUpperCase()}${reason.slice(1)}.`));
}

function refused(reason) {
  over("");
  notice(`The server refuses: ${reason}.`);
}

function over(reason) {
  sound.flush(turn);
  sound.close();
  level(0);
  transcript.nothing();
  show("idle");
  notice(reason && `The conversation has ended: ${reason}.`);
}

// The server wants a key; `wrong` if it did not like ours.
function locked(wrong) {
  call.socket = null;
  call.key = "";
  forgetKey();
  show("idle");
  $("lock").returnValue = "";
  $("key-hint").textContent = wrong ? "This key is not known here, or is used up." : "This server lets in who has a key.";
  $("lock").showModal();
}

$("lock").onclose = () => {
  call.key = $("lock").returnValue && $("key").value.trim(); // nothing, after Escape
  if (!call.key) return over("");
  keepKey(call.key, $("key-keep").checked);
  show("connecting");
  call.connect();
};

function event(told) {
  switch (told.event) {
    case "ready":
    case "resumed":
      choose(settings.offer(told));
      break;
    case "forgotten":
      trouble = ""; // what stands there now outlives the connection's coming back
      notice("The server was started anew, or not reached for too long: a new conversation has begun.");
      break;
    case "speech_started":
    case "speech_resumed":
      transcript.hearing();
      show("hearing");
      break;
    case "speech_ended":
      gate = performance.now();
      show("thinking");
      break;
    case "interim_transcript":
      transcript.interim(told.text);
      break;
    case "transcript":
      transcript.heard(told.turn, told.text);
      if (state !== "hearing") show("thinking");
      break;
    case "passages":
      transcript.passages(told.turn, told.passages);
      break;
    case "clause_spoken":
      transcript.said(told.turn, told.text, told.at);
      if (sound.impossible) transcript.read(told.turn);
      break;
    case "degraded":
      transcript.degraded(told.turn, told.degradation, told.at);
      break;
    case "sound_ended":
      sound.end(told.turn);
      break;
    case "flushed":
      sound.flush(told.turn);
      break;
    case "interrupted":
      transcript.interrupted(told.turn, told.heard);
      break;
    case "reply_resumed":
      transcript.resumed();
      break;
    case "failed":
      transcript.failed(told.turn, told.stage, told.reason);
      break;
    case "turn_ended":
      transcript.ended(told.turn, told.marks, gate);
      if (state === "hearing") break; // the one that interrupts it
      transcript.nothing();
      rest();
  }
}

// Sound

function hearReply(of, at, pcm) {
  turn = of;
  // It is read instead, at once, and nobody waits for the end of what is not heard.
  if (sound.impossible) return call.say({ type: "played", turn: of, samples: at + pcm.byteLength / 2 });
  sound.add(of, at, pcm);
}

function played(of, samples, latency) {
  call.say({ type: "played", turn: of, samples });
  voice.stir();
  const reply = transcript.of(of);
  reply.latency ||= latency;
  transcript.played(of, samples / sound.rate);
  if (!reply.over && !["hearing", "speaking", "broken"].includes(state)) show("speaking");
}

function frame(buffer, rms) {
  if (sound.muted) return;
  level(rms);
  if (rms > 0.006) voice.stir();
  call.hear(buffer);
}

function level(rms) {
  const decibels = 20 * Math.log10(Math.max(rms, 1e-6));
  const shown = Math.max(0, Math.min(1, 1 - decibels / QUIETEST));
  // On what moves with it, and only by steps that are seen: each makes its styles anew.
  const step = shown.toFixed(2);
  if (step === stepShown) return;
  $("level").value = stepShown = step;
  $("talk").style.setProperty("--level", step);
}

function lost() {
  sound.deaf();
  level(0);
  call.say({ type: "mute" });
  rest();
  notice("The microphone is gone. Plug it in and press the button again; meanwhile you can type.");
}

async function hearThrough(device) {
  if (!sound.hears) return;
  try {
    await sound.listen(device);
  } catch (error) {
    notice(why(error));
  }
}

function speakThrough(device) {
  sound.speakThrough(device).catch(() => notice("This loudspeaker cannot be used; the last one goes on."));
}

// Another voice or language, from the next turn on.
function choose(choices) {
  if (Object.keys(choices).length) call.say({ type: "choose", ...choices });
}

// What people press

$("talk").onclick = async () => {
  if (sound.hears) {
    call.end();
    return over("");
  }
  notice("");
  try {
    await sound.open(call.rate);
    await sound.listen(settings.microphone);
  } catch (error) {
    return notice(why(error));
  }
  setMuted(settings.holds);
  if (call.socket) rest();
  join();
  // Or the space bar, which is to be held, would end it all.
  if (settings.holds && document.activeElement === $("talk")) $("mute").focus();
  settings.listDevices();
};

$("mute").onclick = () => settings.holds || setMuted(!sound.muted);
$("mute").onpointerdown = () => hold(true);
for (const away of ["pointerup", "pointercancel", "pointerleave"])
  $("mute").addEventListener(away, () => hold(false));
addEventListener("blur", () => hold(false)); // what is released elsewhere is not told

// Push to talk: the microphone is open as long as something is held down.
function hold(down) {
  if (settings.holds && sound.hears && sound.muted === down) setMuted(!down);
}

for (const [happens, down] of [["keydown", true], ["keyup", false]])
  addEventListener(happens, (key) => {
    if (key.key !== " " || key.repeat || !settings.holds || !sound.hears || settings.open) return;
    if (key.target.closest("input, select, textarea, summary, button:not(#mute)")) return;
    key.preventDefault();
    hold(down);
  });

$("hear").onclick = async () => {
  if ($("hear").ariaDisabled === "true") return;
  $("hear").ariaDisabled = true;
  try {
    await sound.open(call.rate);
    const heard = await sample($("voice").value, sound.context);
    heard.connect(sound.output);
    heard.onended = () => state === "idle" && sound.close(); // or the machine could not sleep
    heard.start();
    voice.stir();
  } catch (error) {
    notice(`This voice cannot be heard now: ${error.message}`);
  }
  $("hear").ariaDisabled = false;
};

$("copy").onclick = async () => {
  try {
    await navigator.clipboard.writeText(transcript.text);
    tell($("copy"), "Copied");
  } catch {
    tell($("copy"), "Not allowed here: save it"); // on http pages, for one
  }
};

// On the button that was pressed, which nothing moves, and to screen readers, which would not
// notice that; for a moment.
function tell(button, text) {
  button.dataset.usual ??= button.textContent;
  button.style.minWidth = `${button.getBoundingClientRect().width}px`;
  button.textContent = $("kept-how").textContent = text;
  clearTimeout(tell.timer);
  tell.timer = setTimeout(() => {
    button.textContent = button.dataset.usual;
    $("kept-how").textContent = "";
  }, TOLD);
}

$("save").onclick = () => {
  const file = new Blob([transcript.text], { type: "text/plain" });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = `conversation ${new Date().toISOString().slice(0, 16).replace(":", ".")}.txt`;
  link.click();
  tell($("save"), "Saved");
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
};

function setMuted(muted) {
  sound.muted = muted;
  $("mute").classList.toggle("off", muted);
  $("mute").querySelector("span").textContent = settings.holds ? "Hold" : "Mute";
  $("mute").ariaPressed = settings.holds ? !muted : muted; // held, or muted
  if (!call.open) return;
  if (muted) call.say({ type: "mute" });
  level(0);
  if (state === "listening" || state === "hearing" || state === "muted") rest();
}

$("key-forget").onclick = () => {
  forgetKey();
  call.key = "";
  $("key-forget").hidden = true;
};

$("stop").onclick = () => {
  if ($("stop").ariaDisabled === "true") return;
  sound.flush(turn);
  call.say({ type: "stop" });
};

$("typing").onsubmit = (submit) => {
  submit.preventDefault();
  const text = $("line").value.trim();
  $("line").value = "";
  if (text) ask(text);
};

async function ask(text) {
  notice("");
  await sound.open(call.rate).catch((error) => notice(why(error)));
  join();
  while (call.socket && !call.open) await new Promise((soon) => setTimeout(soon, 50));
  if (!call.open) {
    $("line").value ||= text;
    return;
  }
  sound.flush(turn);
  gate = performance.now();
  call.say({ type: "text", text });
  transcript.following = true;
}

addEventListener("keydown", (key) => {
  if (key.key === "Escape" && !settings.open) $("stop").click();
});

// A reload within the server's patience goes on where it was, though deaf until the button.
const before = call.remembered();
for (const told of call.shown) {
  if (told.event === "begun") transcript.begin();
  else event(told);
}
show("idle");
if (before) {
  show("connecting");
  call.goOn(before);
}

about(ask);
voices().then((names) => settings.offerVoices(names));
