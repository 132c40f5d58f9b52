// One conversation over /v1/talk, however often the connection breaks.

const RETRY = [0.2, 0.5, 1, 2, 3]; // seconds before each attempt to come back; the last repeats
const KEPT = 10; // seconds of speech kept while the connection is broken
const STORE = "voicebot";

export class Call {
  // on: { event(event), sound(turn, at, pcm), connected(resumed), broken(), over(reason) }
  constructor(on) {
    this.on = on;
    this.forget();
    this.backlog = [];
  }

  forget() {
    this.token = null;
    this.number = this.turn = this.received = 0;
    this.attempt = 0;
  }

  // A conversation this page had before it was reloaded: the server may still know it.
  remembered() {
    try {
      return JSON.parse(sessionStorage.getItem(STORE));
    } catch {
      return null;
    }
  }

  begin(rate) {
    this.rate = rate;
    this.connect();
  }

  goOn({ token, rate }) {
    this.token = token;
    this.begin(rate);
  }

  async connect() {
    clearTimeout(this.timer);
    const attempt = (this.socket = {});
    const protocols = ["talk"];
    if (this.key) {
      const secret = await this.secret();
      if (attempt !== this.socket) return; // ended, or begun anew, meanwhile
      if (!secret) return this.on.locked(true);
      protocols.push(`openai-insecure-api-key.${secret}`);
    }
    const address = new URL("v1/talk", document.baseURI);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = (this.socket = new WebSocket(address, protocols));
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.greet();
    socket.onmessage = ({ data }) => socket === this.socket && this.take(data);
    socket.onclose = ({ code, reason }) => socket === this.socket && this.closed(code, reason);
  }

  // A lasting key stays out of the websocket: it buys one that is good for a moment.
  async secret() {
    const headers = { Authorization: `Bearer ${this.key}`, "Content-Type": "application/json" };
    const wish = { method: "POST", headers, body: '{"expires_after": {"seconds": 60}}' };
    const answer = await fetch("v1/realtime/client_secrets", wish).catch(() => null);
    return answer?.ok ? (await answer.json()).value : "";
  }

  async isLocked() {
    const answer = await fetch("v1/models").catch(() => null);
    return answer?.status === 401;
  }

  greet() {
    const { token, number, turn, received, rate } = this;
    if (token) this.say({ type: "resume", token, number, turn, received });
    else this.say({ type: "hello", rate, partial: true });
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
    this.on.over(reason);
  }

  joined(resumed) {
    this.known = true;
    this.attempt = 0;
    this.open = true;
    this.on.connected(resumed);
    for (const frame of this.backlog.splice(0)) this.socket.send(frame);
  }

  remember() {
    try {
      sessionStorage.setItem(STORE, JSON.stringify({ token: this.token, rate: this.rate }));
    } catch {
      // Private windows may keep nothing; then a reload begins anew.
    }
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
    const refused = !this.open && this.attempt === 0;
    this.open = false;
    const socket = this.socket;
    if (refused && !this.key && (await this.isLocked())) {
      if (socket === this.socket) this.on.locked(false);
      return;
    }
    if (socket !== this.socket) return;
    if (code === 1008 || code === 1011 || code === 4001) {
      sessionStorage.removeItem(STORE);
      this.forget();
      this.socket = null;
      return this.on.over(reason || "the server closed it");
    }
    this.on.broken();
    const wait = RETRY[Math.min(this.attempt++, RETRY.length - 1)];
    this.timer = setTimeout(() => this.connect(), wait * 1000);
  }

  end() {
    clearTimeout(this.timer);
    sessionStorage.removeItem(STORE);
    const { socket } = this;
    this.socket = null;
    this.open = false;
    this.backlog = [];
    this.forget();
    socket?.close?.(1000);
  }
}
