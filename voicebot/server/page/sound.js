// The microphone and the loudspeaker of this browser.

// Firefox takes a microphone only into a context of the microphone's own rate.
const OWN_RATE = navigator.userAgent.includes("Firefox/");
const SPEECH = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };

export class Sound {
  // on: { frame(buffer, rms), played(turn, samples, latency) }
  constructor(on) {
    this.on = on;
    this.context = null;
    this.muted = false;
    this.early = []; // what came before we may sound
  }

  get rate() {
    return this.context.sampleRate;
  }

  get hears() {
    return Boolean(this.stream);
  }

  // Must be called while the user presses something, or browsers keep silent.
  async open(rate) {
    if (!this.context) {
      const wish = OWN_RATE ? {} : { sampleRate: rate };
      this.context = new AudioContext({ ...wish, latencyHint: "interactive" });
      await this.context.audioWorklet.addModule(new URL("worklet.js", import.meta.url));
      this.playback = new AudioWorkletNode(this.context, "playback", { numberOfInputs: 0 });
      this.playback.port.onmessage = ({ data }) =>
        this.on.played(data.turn, data.samples, this.context.outputLatency || 0);
      this.playback.connect(this.context.destination);
      for (const message of this.early.splice(0)) this.tell(message);
    }
    await this.context.resume();
  }

  async listen(device) {
    const wanted = device ? { ...SPEECH, deviceId: { exact: device } } : SPEECH;
    const stream = await navigator.mediaDevices.getUserMedia({ audio: wanted });
    this.deaf();
    this.stream = stream;
    this.source = this.context.createMediaStreamSource(stream);
    this.capture = new AudioWorkletNode(this.context, "capture", { numberOfOutputs: 1 });
    this.capture.port.onmessage = ({ data }) => this.on.frame(data.frame, data.rms);
    // It gives silence; unconnected, some browsers would not run it at all.
    this.source.connect(this.capture).connect(this.context.destination);
    stream.getAudioTracks()[0].onended = () => this.on.lost();
  }

  deaf() {
    for (const track of this.stream?.getTracks() ?? []) {
      track.onended = null;
      track.stop();
    }
    this.source?.disconnect();
    this.capture?.disconnect();
    this.stream = null;
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
    else this.early.push(message);
  }

  async speakThrough(device) {
    await this.context?.setSinkId?.(device);
  }

  async devices() {
    const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    return all.filter((device) => device.label && device.deviceId !== "default");
  }
}

export const canChooseSpeaker = "setSinkId" in (globalThis.AudioContext?.prototype ?? {});

// What to tell a person whose microphone we do not get.
export function why(error) {
  if (!navigator.mediaDevices)
    return "Browsers give a microphone only to https pages and to localhost. Open this page that way, or type.";
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
