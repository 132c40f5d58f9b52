// One conversation over /v1/talk, however often the connection breaks.

import * as kept from "./kept.js";

const RETRY = [0.2, 0.5, 1, 2, 3]; // seconds before each attempt to come back; the last repeats
const KEPT = 10; // seconds of speech kept while the connection is broken
// What is shown of a conversation, and so kept with it.
const SHOWN = ["transcript", "passages", "clause_spoken", "degraded", "interrupted", "reply_resumed", "failed", "turn_ended"];

export class Call {
  // on: { event(event), sound(turn, at, pcm), connected(resumed), broken(reason), locked(wrong),
  //       over(reason), refused(reason) }
  constructor(on) {
    this.on = on;
    this.forget();
    this.backlog = [];
    this.key = kept.key();
    this.shown = []; // events, of this conversation and of those before it in this tab
    addEventListener("pagehide", () => this.remember());
  }

  forget() {
    this.token = null;
    this.number = this.turn = this.received = 0;
    this.attempt = 0;
  }

  // A conversation this page had before it was reloaded: the server may still know it.
  remembered() {
    const { events = [], ...before } = kept.conversation();
    this.shown = events;
    return before.token ? before : null;
  }

  begin(rate) {
    this.rate = rate;
    this.connect();
  }

  // What was sounding is sent again from where it was last heard: `received` stays 0.
  goOn({ token, rate, number }) {
    this.token = token;
    this.number = number;
    this.begin(rate);
  }

  async connect() {
    clearTimeout(this.timer);
    const attempt = (this.socket = {});
    const protocols = ["talk"];
    if (this.key) {
      // A lasting key stays out of the websocket: it buys one that is good for a moment.
      const bought = await this.ask("v1/realtime/client_secrets", { expires_after: { seconds: 60 } });
      if (attempt !== this.socket) return; // ended, or begun anew, meanwhile
      if (!bought.value) return this.turnedAway(bought);
      protocols.push(`openai-insecure-api-key.${bought.value}`);
    }
    const address = new URL("v1/talk", document.baseURI);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = (this.socket = new WebSocket(address, protocols));
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      socket.reached = true;
      this.greet();
    };
    socket.onmessage = ({ data }) => socket === this.socket && this.take(data);
    socket.onclose = ({ code, reason }) => socket === this.socket && this.closed(code, reason);
  }

  async ask(path, wish) {
    const headers = { "Content-Type": "application/json" };
    if (this.key) headers.Authorization = `Bearer ${this.key}`;
    try {
      const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(wish) });
      const { status, statusText } = answer;
      const told = await answer.json().catch(() => ({})); // a proxy's own page
      return { status, value: told.value, reason: told.error?.message ?? `${status} ${statusText}`.trim() };
    } catch {
      return { status: 0, reason: "" }; // nobody answers
    }
  }

  // What cannot become better by itself ends it; the rest is tried again.
  turnedAway({ status, reason }) {
    if (status === 401) return this.on.locked(Boolean(this.key));
    if (status === 403 || status === 404) {
      this.end();
      return this.on.refused(reason);
    }
    this.again(reason);
  }

  again(reason) {
    this.on.broken(reason);
    const wait = RETRY[Math.min(this.attempt++, RETRY.length - 1)];
    this.timer = setTimeout(() => this.connect(), wait * 1000);
  }

  greet() {
    const { token, number, turn, received, rate } = this;
    if (token) this.say({ type: "resume", token, number, turn, received });
    else this.say({ type: "hello", rate, interim_transcripts: true });
  }

  take(data) {
    if (typeof data !== "string") {
      this.on.sound(this.turn, this.received, data);
      this.received += data.byteLength / 2;
      return;
    }
    const event = JSON.parse(data);
    this.number = event.number ?? this.number;
    switch (event.event) {
      case "ready":
        this.token = event.token;
        this.shown.push({ event: "begun" });
        this.remember();
        this.joined(false);
        break;
      case "resumed":
        this.joined(true);
        break;
      case "sound":
        this.turn = event.turn;
        this.received = event.at;
        break;
      case "error":
        if (event.code === "gone" && !this.known) return this.lost();
        if (event.code === "gone") {
          this.forget();
          this.greet();
          return this.on.event({ event: "forgotten" });
        }
        if (!this.open) this.refused(event.reason);
        return;
    }
    if (SHOWN.includes(event.event)) this.shown.push(event);
    this.on.event(event);
  }

  // It was over before this page was loaded again: nobody asked for another.
  lost() {
    this.end();
    this.on.over("");
  }

  // Without a beginning there is nothing to go on with.
  refused(reason) {
    this.end();
    this.on.refused(reason);
  }

  joined(resumed) {
    this.known = true;
    this.attempt = 0;
    this.open = true;
    this.on.connected(resumed);
    for (const frame of this.backlog.splice(0)) this.socket.send(frame);
  }

  remember() {
    const { token, rate, number, shown: events } = this;
    kept.keep({ token, rate, number, events });
  }

  hear(frame) {
    if (this.open) return this.socket.send(frame);
    this.backlog.push(frame);
    while (this.backlog.length * frame.byteLength > KEPT * this.rate * 2) this.backlog.shift();
  }

  say(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  async closed(code, reason) {
    this.open = false;
    const socket = this.socket;
    if (!socket.reached) {
      // Browsers hide why a websocket was refused, not what else is asked at its address.
      const told = await this.ask("v1/talk", {});
      if (socket === this.socket) this.turnedAway(told);
      return;
    }
    if (code === 1008 || code === 1011 || code === 4001) {
      this.forget();
      this.remember();
      this.socket = null;
      return this.on.over(reason || "the server closed it");
    }
    this.again(reason);
  }

  end() {
    clearTimeout(this.timer);
    const { socket } = this;
    this.socket = null;
    this.open = false;
    this.backlog = [];
    this.forget();
    this.remember();
    socket?.close?.(1000);
  }
}
