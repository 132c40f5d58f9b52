// The two ends of the sound, in the audio thread: what the microphone hears goes out in frames
// of 16-bit samples; what is spoken comes in pieces and is played after a short cushion.

const FRAME = 0.032; // seconds in a frame: the server's own window, so that it never waits for two
const CUSHION = 0.09; // seconds kept before playing begins; more rides out worse networks, less is quicker
const PATIENCE = 0.16; // seconds after which what there is is played, cushion or not
const REPORT = 0.1; // seconds between reports of what was played
const FADE = 128; // samples over which a silenced reply fades: a hard edge clicks

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.frame = new Int16Array(Math.round(sampleRate * FRAME));
    this.filled = 0;
    this.power = 0;
  }

  process([input]) {
    const channels = input.length;
    if (!channels) return true;
    for (let i = 0; i < input[0].length; i++) {
      let sample = 0;
      for (let c = 0; c < channels; c++) sample += input[c][i] / channels;
      this.power += sample * sample;
      this.frame[this.filled++] = Math.max(-1, Math.min(1, sample)) * 32767;
      if (this.filled === this.frame.length) this.send();
    }
    return true;
  }

  send() {
    const rms = Math.sqrt(this.power / this.filled);
    const frame = this.frame;
    this.frame = new Int16Array(frame.length);
    this.port.postMessage({ frame: frame.buffer, rms }, [frame.buffer]);
    this.filled = this.power = 0;
  }
}

class Playback extends AudioWorkletProcessor {
  constructor() {
    super();
    this.reset();
    this.fading = null;
    this.port.onmessage = ({ data }) => this[data.do](data);
  }

  reset({ turn = 0, at = 0 } = {}) {
    this.turn = turn;
    this.queue = [];
    this.queued = 0;
    this.offset = 0; // samples of the first piece that were played
    this.played = at; // samples of the turn
    this.reported = at;
    this.playing = this.begun = this.ended = false;
    this.waited = 0;
  }

  add({ turn, at, pcm }) {
    if (turn !== this.turn) this.reset({ turn, at });
    this.queue.push(new Int16Array(pcm));
    this.queued += pcm.byteLength / 2;
  }

  end({ turn }) {
    if (turn === this.turn) this.ended = true;
  }

  flush({ turn }) {
    if (turn !== this.turn || !this.queued) return;
    const rest = new Float32Array(FADE);
    this.take(rest);
    this.fading = this.playing ? rest.map((sample, i) => sample * (1 - i / FADE)) : null;
    this.queue = [];
    this.queued = this.offset = 0;
    this.playing = false;
  }

  process(_, [output]) {
    const out = output[0];
    if (this.fading) {
      out.set(this.fading);
      this.fading = null;
    } else if (this.ready(out.length)) {
      this.played += this.take(out);
      if (!this.begun) this.report(); // the page times the first sound
      this.begun = true;
    }
    for (const other of output.slice(1)) other.set(out);
    const due = this.played - this.reported >= sampleRate * REPORT;
    if (due || (!this.queued && this.played > this.reported)) this.report();
    return true;
  }

  ready(length) {
    if (!this.queued) {
      if (this.playing) this.waited = 0; // run dry: a new cushion, or it stutters
      this.playing = false;
      return false;
    }
    this.waited += length;
    const enough = this.queued >= CUSHION * sampleRate || this.waited > PATIENCE * sampleRate;
    this.playing ||= enough || this.ended;
    return this.playing;
  }

  take(out) {
    let filled = 0;
    while (filled < out.length && this.queue.length) {
      const piece = this.queue[0];
      const count = Math.min(out.length - filled, piece.length - this.offset);
      for (let i = 0; i < count; i++) out[filled + i] = piece[this.offset + i] / 32768;
      filled += count;
      this.offset += count;
      if (this.offset === piece.length) {
        this.queue.shift();
        this.offset = 0;
      }
    }
    this.queued -= filled;
    return filled;
  }

  report() {
    this.reported = this.played;
    this.port.postMessage({ turn: this.turn, samples: this.played });
  }
}

registerProcessor("capture", Capture);
registerProcessor("playback", Playback);
