// The voice, drawn: lines that swell with what the microphone hears and with what is being played.

const LIVELY = 0.006; // root mean square above which somebody is to be seen
const REST = 1500; // milliseconds of quiet after which nothing is drawn any more
const ATTACK = 0.35, RELEASE = 0.08; // part of the way to a higher, or a lower, level in a frame
const LINES = [ // how high, how fast along, how many waves, how opaque
  [1, 0.0021, 2.1, 1],
  [0.72, -0.0016, 3.3, 0.5],
  [0.5, 0.0029, 4.7, 0.28],
];
const STEPS = 96;

const still = matchMedia("(prefers-reduced-motion: reduce)");

export class Voice {
  // levels() gives the root mean squares of what is heard and of what is played
  constructor(canvas, levels) {
    this.canvas = canvas;
    this.levels = levels;
    this.heard = this.played = 0;
    this.colours = {};
    new ResizeObserver(() => this.fit()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").onchange = () => this.fit();
  }

  // Something sounds, or may soon: drawn until it has been quiet for a while.
  stir() {
    if (still.matches) return; // the words at the top say what happens
    this.stirred = performance.now();
    this.frame ??= requestAnimationFrame((now) => this.draw(now));
  }

  fit() {
    const { clientWidth, clientHeight } = this.canvas;
    this.canvas.width = clientWidth * devicePixelRatio;
    this.canvas.height = clientHeight * devicePixelRatio;
    const style = getComputedStyle(this.canvas);
    this.colours = { heard: style.getPropertyValue("--edge"), played: style.getPropertyValue("--accent") };
    this.stir();
  }

  draw(now) {
    if (still.matches) return this.clear();
    const [heard, played] = this.levels();
    this.heard = nearer(this.heard, loudness(heard));
    this.played = nearer(this.played, loudness(played));
    if (heard > LIVELY || played > LIVELY) this.stirred = now;
    const { width, height } = this.canvas;
    const pen = this.canvas.getContext("2d");
    pen.clearRect(0, 0, width, height);
    if (width && height) {
      this.curve(pen, this.heard, this.colours.heard, now);
      this.curve(pen, this.played, this.colours.played, now);
    }
    const resting = now - this.stirred > REST && this.heard < 0.01 && this.played < 0.01;
    this.frame = resting ? undefined : requestAnimationFrame((next) => this.draw(next));
  }

  clear() {
    this.canvas.getContext("2d").clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.frame = undefined;
    this.heard = this.played = 0;
  }

  curve(pen, level, colour, now) {
    const { width, height } = this.canvas;
    const middle = height / 2;
    pen.strokeStyle = colour;
    pen.lineWidth = 2 * devicePixelRatio;
    pen.lineJoin = "round";
    for (const [high, speed, waves, opacity] of LINES) {
      pen.globalAlpha = opacity * (0.25 + 0.75 * Math.min(1, level * 3));
      pen.beginPath();
      for (let step = 0; step <= STEPS; step++) {
        const along = step / STEPS;
        const swell = Math.sin(Math.PI * along) ** 2; // flat at both ends
        const phase = now * speed;
        const up = Math.sin(along * waves * 2 * Math.PI + phase) * swell * level * high;
        pen.lineTo(along * width, middle - up * (middle - pen.lineWidth));
      }
      pen.stroke();
    }
    pen.globalAlpha = 1;
  }
}

// 0 at -54 decibels, 1 at -12: speech fills it, a whisper shows.
function loudness(rms) {
  return Math.max(0, Math.min(1, (20 * Math.log10(Math.max(rms, 1e-6)) + 54) / 42));
}

function nearer(now, next) {
  return now + (next - now) * (next > now ? ATTACK : RELEASE);
}
