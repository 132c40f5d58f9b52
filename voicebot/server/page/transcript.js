// What was said, on the page: questions, replies appearing as they are spoken, where they came
// from and how long they took.

const PACE = 0.065; // seconds a letter takes to say, for the word being spoken now
const STAGES = [
  ["stt.last", "Recognised"],
  ["llm.first", "First word"],
  ["tts.first", "First sound made"],
  ["gate", "End of turn certain"],
  ["speaker.first", "First sound sent"],
  ["played", "First sound played"],
];
const SCRIPTS = new Intl.Segmenter(undefined, { granularity: "word" });
// What an answer gave up, or put in, because it would have been late.
const DEGRADATIONS = {
  fewer_passages: "Short of time: read less",
  short_clause: "Short of time: begun with fewer words",
  single_decode: "Short of time: listened once",
  filler: "Late: said so",
  fallback_voice: "Another voice took over",
  apology: "Excused itself",
};
// Of those, what nobody would know from the answer itself.
const UNHEARD = {
  fewer_passages: "it read less",
  short_clause: "it began with fewer words",
  single_decode: "it listened once",
  fallback_voice: "another voice speaks",
};
const LIST = new Intl.ListFormat("en");

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  if (tag === "p") element.dir = "auto"; // each paragraph runs as its own script does
  return element;
}

export class Transcript {
  constructor(list) {
    this.list = list;
    this.following = true; // until somebody scrolls back to read
    list.onscroll = () => {
      this.following = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
    };
    new ResizeObserver(() => this.follow()).observe(list);
    this.turns = new Map();
    this.waiting = null;
  }

  // Another conversation, which knows nothing of the one before it.
  begin() {
    this.nothing();
    this.turns.clear();
    if (this.list.childElementCount) this.add(make("li", "begun", "A new conversation"));
  }

  // Somebody is speaking: three dots, behind what was understood so far.
  hearing() {
    if (this.waiting) return;
    this.waiting = make("li", "you");
    const dots = make("span", "dots");
    dots.append(make("i"), make("i"), make("i"));
    const words = make("p", "interim");
    words.append(make("span"), dots);
    this.waiting.append(make("span", "unseen", "You, speaking: "), words);
    this.add(this.waiting);
  }

  interim(text) {
    this.hearing();
    this.waiting.querySelector(".interim > span").textContent = `${text} `;
    this.follow();
  }

  // What was taken for speech had no words.
  nothing() {
    this.waiting?.remove();
    this.waiting = null;
  }

  // It stands where it was begun: what fills the wait for an answer may have been said since.
  heard(turn, text) {
    const item = this.waiting ?? make("li", "you");
    item.replaceChildren(make("span", "unseen", "You: "), make("p", "", text));
    if (!this.waiting) this.list.insertBefore(item, this.of(turn).item);
    this.waiting = null;
    this.follow();
  }

  passages(turn, passages) {
    if (!passages.length) return;
    const more = make("details", "passages");
    const count = passages.length === 1 ? "1 passage" : `${passages.length} passages`;
    more.append(make("summary", "", `From ${count}`));
    for (const { id, text } of passages) {
      const passage = make("figure");
      passage.append(quote(text), make("figcaption", "", id));
      more.append(passage);
    }
    more.ontoggle = () => more.open && more.scrollIntoView({ block: "nearest" });
    this.of(turn).notes.append(more);
  }

  said(turn, text, at) {
    const reply = this.of(turn);
    for (const clause of reply.clauses) clause.until = Math.min(clause.until, at);
    reply.clauses.push({ words: wordsOf(text), at, until: Infinity });
    this.show(turn);
  }

  // There is no sound to wait for: what was said so far can be read.
  read(turn) {
    const reply = this.of(turn);
    reply.seconds = Infinity;
    this.show(turn);
  }

  // So much of the turn has been played: the words up to there have been spoken.
  played(turn, seconds) {
    const reply = this.of(turn);
    reply.firstPlayed ??= performance.now();
    reply.seconds = Math.max(reply.seconds, seconds);
    this.show(turn);
  }

  interrupted(turn, heard) {
    const reply = this.of(turn);
    reply.cut = true;
    if (!heard && !reply.clauses.length) return;
    reply.text.textContent = heard;
    this.item(reply);
    reply.text.append(make("span", "cut", heard ? " — interrupted" : "stopped before it was heard"));
  }

  // What interrupted the last reply held no word: the next one says the rest.
  resumed() {
    const cut = [...this.list.querySelectorAll(".cut")].pop();
    if (cut) cut.textContent = " …";
  }

  degraded(turn, degradation, at) {
    const reply = this.of(turn);
    reply.degradations.push([DEGRADATIONS[degradation] ?? degradation, at]);
    if (!UNHEARD[degradation]) return;
    reply.degraded.push(UNHEARD[degradation]);
    reply.degradation ??= make("p", "degraded");
    reply.degradation.textContent = `Short of time: ${LIST.format(reply.degraded)}.`;
    reply.notes.prepend(reply.degradation);
  }

  failed(turn, stage, reason) {
    const does = { stt: "hear you", llm: "find an answer", tts: "speak" }[stage] ?? "go on";
    const reply = this.of(turn);
    const failure = make("p", "failure", `It could not ${does}: ${reason}`);
    failure.role = "alert";
    reply.notes.append(failure);
    this.item(reply);
  }

  ended(turn, marks, gate) {
    const reply = this.of(turn);
    reply.over = true;
    if (!reply.cut) this.show(turn, true);
    if (!reply.item) return;
    if (reply.firstPlayed && gate !== undefined && "gate" in marks)
      marks.played = (reply.firstPlayed - gate) / 1000 + marks.gate + reply.latency;
    reply.notes.append(waterfall(marks, reply.degradations));
    this.follow();
  }

  of(turn) {
    if (!this.turns.has(turn))
      this.turns.set(turn, {
        clauses: [], degradations: [], degraded: [], seconds: 0, latency: 0, cut: false, over: false, item: null,
        text: make("p", "reply"), notes: make("div", "notes"),
      });
    return this.turns.get(turn);
  }

  item(reply) {
    if (reply.item) return;
    reply.item = make("li", "bot");
    reply.item.append(make("span", "unseen", "voicebot: "), reply.text, reply.notes);
    this.add(reply.item);
  }

  show(turn, all = false) {
    const reply = this.of(turn);
    if (reply.cut) return;
    const words = [];
    for (const { words: clause, at, until } of reply.clauses) {
      let spoken = at;
      for (const word of clause) {
        if (!all && reply.seconds < until && reply.seconds < spoken + 0.02) break;
        words.push(word);
        spoken += word.length * PACE;
      }
    }
    if (!words.length) return;
    this.item(reply);
    // Only what is new is added, so that a reader's place and selection stay.
    const shown = reply.text.childElementCount;
    for (const word of words.slice(shown)) {
      reply.text.append(make("span", "", word));
    }
    if (words.length > shown) this.follow();
  }

  // What people keep of it: who said what, and a line for each break.
  get text() {
    const lines = [...this.list.children].map((item) => {
      if (item.classList.contains("begun")) return `— ${item.textContent} —`;
      const who = item.classList.contains("you") ? "You" : "voicebot";
      const said = item.querySelector(item.classList.contains("you") ? "p" : ".reply");
      return `${who}: ${said.textContent.trim()}`;
    });
    return `${lines.join("\n\n")}\n`;
  }

  add(item) {
    this.list.append(item);
    this.follow();
  }

  follow() {
    if (this.following) this.list.scrollTop = this.list.scrollHeight;
  }
}

// The words of any script, each with what stands behind it.
function wordsOf(text) {
  const words = [];
  for (const { segment, isWordLike } of SCRIPTS.segment(`${text} `)) {
    if (isWordLike || !words.length) words.push(segment);
    else words[words.length - 1] += segment;
  }
  return words;
}

// Paragraphs as they were meant; a line that is only wrapped goes on.
function quote(text) {
  const quoted = make("blockquote");
  for (const part of text.split(/\n\s*\n/)) {
    const heading = part.match(/^#+ (.*)/);
    quoted.append(make("p", heading ? "heading" : "", heading ? heading[1] : part.replace(/\n(?![-*] )/g, " ")));
  }
  return quoted;
}

function waterfall(marks, degradations) {
  const stages = STAGES.filter(([mark]) => mark in marks).map(([mark, label]) => [label, marks[mark], mark]);
  const rows = [...stages, ...degradations.map(([label, at]) => [label, at, "degradation"])].sort((a, b) => a[1] - b[1]);
  const last = Math.max(...rows.map(([, at]) => at), 0.001);
  const first = marks.played ?? marks["speaker.first"];
  const more = make("details", "times");
  more.append(make("summary", "", first === undefined ? "Times" : `${first.toFixed(2)} s to the first sound`));
  const table = make("table");
  table.append(make("caption", "", "Seconds after you stopped speaking"));
  let from = 0;
  for (const [label, at, mark] of rows) {
    const row = table.insertRow();
    const name = make("th", "", label);
    name.scope = "row";
    const bar = make("i", { played: "bar last", degradation: "bar degradation" }[mark] ?? "bar");
    bar.style.setProperty("--from", (mark === "degradation" ? Math.max(0, at) : from) / last);
    bar.style.setProperty("--to", Math.max(0, at) / last);
    row.append(name);
    row.insertCell().append(bar);
    row.insertCell().textContent = at.toFixed(2);
    if (mark !== "degradation") from = Math.max(from, at);
  }
  more.append(table);
  more.ontoggle = () => more.open && more.scrollIntoView({ block: "nearest" });
  return more;
}
