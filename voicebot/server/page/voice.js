// The voice, drawn: lines that swell with what the microphone hears and with what is being played.

const LIVELY = 0.006; // root mean square above which somebody is to be seen
const SEEN = 0.01; // loudness below which a line is flat
const REST = 1500; // milliseconds of quiet after which nothing is drawn any more
const ATTACK = 0.35, RELEASE = 0.08; // part of the way to a higher, or a lower, level in a frame
const LINES = [ // how high, how fast along, how many waves, how opaque
  [1, 0.0021, 2.1, 1],
  [0.72, -0.0016, 3.3, 0.5],
  [0.5, 0.0029, 4.7, 0.28],
];
const STEPS = 64; // fewer show corners in the shortest wave
// What does not change from frame to frame: at each step, how far it may swell (the ends are
// flat), and the sine and cosine of how far each line's wave has come.
const SWELL = Float64Array.from({ length: STEPS + 1 }, (_, step) => Math.sin((Math.PI * step) / STEPS) ** 2);
const WAVES = LINES.map(([, , waves]) =>
  [Math.sin, Math.cos].map((of) => Float64Array.from(SWELL, (_, step) => of((step / STEPS) * waves * 2 * Math.PI))),
);

const still = matchMedia("(prefers-reduced-motion: reduce)");

export class Voice {
  // levels() gives the root mean squares of what is heard and of what is played
  constructor(canvas, levels) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d");
    this.levels = levels;
    this.heard = this.played = 0;
    this.colours = {};
    this.next = (now) => this.draw(now);
    new ResizeObserver(() => this.fit()).observe(canvas);
    for (const look of ["(prefers-color-scheme: dark)", "(forced-colors: active)", "(prefers-contrast: more)"])
      matchMedia(look).addEventListener("change", () => this.fit());
  }

  // Something sounds, or may soon: drawn until it has been quiet for a while.
  stir() {
    if (still.matches) return; // the words at the top say what happens
    this.stirred = performance.now();
    this.frame ??= requestAnimationFrame(this.next);
  }

  fit() {
    const { clientWidth, clientHeight } = this.canvas;
    this.canvas.width = clientWidth * devicePixelRatio;
    this.canvas.height = clientHeight * devicePixelRatio;
    const style = getComputedStyle(this.canvas);
    this.colours = { heard: style.getPropertyValue("--heard"), played: style.getPropertyValue("--played") };
    this.stir();
  }

  draw(now) {
    if (still.matches) return this.clear();
    const [heard, played] = this.levels();
    this.heard = nearer(this.heard, loudness(heard));
    this.played = nearer(this.played, loudness(played));
    if (heard > LIVELY || played > LIVELY) this.stirred = now;
    const { pen } = this;
    const { width, height } = this.canvas;
    pen.clearRect(0, 0, width, height);
    if (width && height) {
      pen.lineWidth = 2 * devicePixelRatio;
      pen.lineJoin = "round";
      if (this.heard < SEEN && this.played < SEEN) this.flat(width, height);
      else {
        this.curves(width, height, this.heard, this.colours.heard, now);
        this.curves(width, height, this.played, this.colours.played, now);
      }
    }
    const resting = now - this.stirred > REST && this.heard < SEEN && this.played < SEEN;
    this.frame = resting ? undefined : requestAnimationFrame(this.next);
  }

  clear() {
    this.pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.frame = undefined;
    this.heard = this.played = 0;
  }

  flat(width, height) {
    const { pen } = this;
    pen.strokeStyle = this.colours.heard;
    pen.globalAlpha = 0.5;
    pen.beginPath();
    pen.moveTo(0, height / 2);
    pen.lineTo(width, height / 2);
    pen.stroke();
  }

  curves(width, height, level, colour, now) {
    if (level < SEEN) return;
    const { pen } = this;
    const middle = height / 2, most = (middle - pen.lineWidth) * level;
    pen.strokeStyle = colour;
    for (let line = 0; line < LINES.length; line++) {
      const [high, speed, , opacity] = LINES[line], [sines, cosines] = WAVES[line];
      // sin(a + b) of two known angles, or each frame would take 200 sines.
      const sine = Math.sin(now * speed) * most * high, cosine = Math.cos(now * speed) * most * high;
      pen.globalAlpha = opacity * (0.25 + 0.75 * Math.min(1, level * 3));
      pen.beginPath();
      for (let step = 0; step <= STEPS; step++)
        pen.lineTo((step / STEPS) * width, middle - (sines[step] * cosine + cosines[step] * sine) * SWELL[step]);
      pen.stroke();
    }
  }
}

// 0 at -54 decibels, 1 at -12: speech fills it, a whisper shows.
function loudness(rms) {
  return Math.max(0, Math.min(1, (20 * Math.log10(Math.max(rms, 1e-6)) + 54) / 42));
}

function nearer(now, next) {
  return now + (next - now) * (next > now ? ATTACK : RELEASE);
}
