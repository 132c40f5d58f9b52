// The microphone and the loudspeaker of this browser.

const RATE = 24000; // what the voices speak at: nothing is resampled twice
const FIREFOX = Number(navigator.userAgent.match(/Firefox\/(\d+)/)?.[1]); // NaN is any other
// An older one takes a microphone only into a context of the microphone's own rate.
const OWN_RATE = FIREFOX < 153;
// On Linux it may hang for ever when asked, while it plays, how late what it plays is heard.
const TELLS_LATENCY = !FIREFOX;
const SAMPLES = new Float32Array(1024); // the latest, of whichever end is being measured
const SPEECH = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };

export class Sound {
  // on: { frame(buffer, rms), played(turn, samples, latency) }
  constructor(on) {
    this.on = on;
    this.context = null;
    this.muted = false;
    this.sink = ""; // the loudspeaker chosen
    this.early = []; // what came before we may sound
    this.both = [0, 0]; // asked for in every frame that is drawn
    // What silenced us, a telephone call or another tab, may leave us asleep.
    for (const happens of ["click", "keydown", "visibilitychange"])
      document.addEventListener(happens, () => this.wanted && this.context.state === "suspended" && this.wake());
    document.addEventListener("visibilitychange", () => this.hears && this.keepLit());
  }

  get rate() {
    return this.context?.sampleRate ?? RATE;
  }

  // Browsers sound only on https pages and on localhost.
  get impossible() {
    return !isSecureContext;
  }

  get hears() {
    return Boolean(this.stream);
  }

  // Root mean squares of the last 40 ms: of the microphone, and of what is being played.
  get levels() {
    this.both[0] = this.hears && !this.muted ? rms(this.input) : 0;
    this.both[1] = rms(this.output);
    return this.both;
  }

  // Must be called while the user presses something, and not after waiting, or browsers keep silent.
  async open(rate = RATE) {
    this.context ??= new AudioContext({ ...(OWN_RATE ? {} : { sampleRate: rate }), latencyHint: "interactive" });
    this.wanted = true;
    if (!this.hears) session("playback");
    this.wake();
    try {
      await (this.loading ??= this.load());
    } catch (error) {
      this.context?.close();
      this.context = this.loading = null;
      this.wanted = false;
      throw error;
    }
  }

  async load() {
    await this.context.audioWorklet.addModule(new URL("worklet.js", import.meta.url));
    this.playback = new AudioWorkletNode(this.context, "playback", { numberOfInputs: 0 });
    this.playback.port.onmessage = ({ data }) =>
      this.on.played(data.turn, data.samples, (TELLS_LATENCY && this.context.outputLatency) || 0);
    this.output = new AnalyserNode(this.context, { fftSize: SAMPLES.length });
    this.playback.connect(this.output).connect(this.context.destination);
    for (const message of this.early.splice(0)) this.tell(message);
    await this.speakThrough(this.sink).catch(() => {}); // unplugged since: then the system's own
  }

  wake() {
    this.context.resume().catch(() => {}); // not while a telephone call goes on: later, then
  }

  // Nothing is heard or said any more. A context that runs keeps the machine from sleeping.
  close() {
    this.deaf();
    this.wanted = false;
    this.context?.suspend();
  }

  async listen(device) {
    const wanted = device ? { ...SPEECH, deviceId: { exact: device } } : SPEECH;
    session("play-and-record");
    const stream = await navigator.mediaDevices.getUserMedia({ audio: wanted });
    this.deaf();
    this.stream = stream;
    try {
      this.source = this.context.createMediaStreamSource(stream);
    } catch (error) {
      this.deaf();
      throw error;
    }
    this.input = new AnalyserNode(this.context, { fftSize: SAMPLES.length });
    this.source.connect(this.input);
    this.capture = new AudioWorkletNode(this.context, "capture", { numberOfOutputs: 1 });
    this.capture.port.onmessage = ({ data }) => this.on.frame(data.frame, data.rms);
    // It gives silence; unconnected, some browsers would not run it at all.
    this.source.connect(this.capture).connect(this.context.destination);
    stream.getAudioTracks()[0].onended = () => this.on.lost();
    this.keepLit();
  }

  // A phone whose screen goes dark soon hears nothing. Whoever hides the page ends this, too.
  async keepLit() {
    this.lit?.release();
    this.lit = await navigator.wakeLock?.request("screen").catch(() => null);
    if (!this.hears) this.lit?.release();
  }

  deaf() {
    for (const track of this.stream?.getTracks() ?? []) {
      track.onended = null;
      track.stop();
    }
    this.source?.disconnect();
    this.capture?.disconnect();
    this.lit?.release();
    this.stream = null;
  }

  // Turns are counted anew.
  begin() {
    this.tell({ do: "reset" });
  }

  add(turn, at, pcm) {
    this.tell({ do: "add", turn, at, pcm });
  }

  end(turn) {
    this.tell({ do: "end", turn });
  }

  flush(turn) {
    this.tell({ do: "flush", turn });
  }

  tell(message) {
    if (this.playback) this.playback.port.postMessage(message, message.pcm ? [message.pcm] : []);
    else if (!this.impossible) this.early.push(message);
  }

  async speakThrough(device) {
    this.sink = device;
    await this.context?.setSinkId?.(device);
  }

  async devices() {
    const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    return all.filter((device) => device.label && device.deviceId !== "default");
  }
}

function rms(analyser) {
  if (!analyser) return 0;
  analyser.getFloatTimeDomainData(SAMPLES);
  let sum = 0;
  for (let i = 0; i < SAMPLES.length; i++) sum += SAMPLES[i] * SAMPLES[i];
  return Math.sqrt(sum / SAMPLES.length);
}

// Phones ask what sound is for: or else their silent switch silences it.
function session(type) {
  if (navigator.audioSession) navigator.audioSession.type = type;
}

export const canChooseSpeaker = "setSinkId" in (globalThis.AudioContext?.prototype ?? {});

// What to tell a person whose microphone we do not get.
export function why(error) {
  if (!navigator.mediaDevices)
    return "Browsers give a microphone and sound only to https pages and to localhost. Open this page that way, or type and read.";
  switch (error.name) {
    case "NotAllowedError":
      return "The microphone is blocked. Allow it beside the address of this page, then press the button again. Meanwhile you can type.";
    case "NotFoundError":
    case "OverconstrainedError":
      return "No microphone was found. Plug one in and press the button again, or type.";
    case "NotReadableError":
      return "The microphone is in use by another program. Close that and press the button again, or type.";
    default:
      return `The microphone cannot be opened: ${error.message}`;
  }
}
