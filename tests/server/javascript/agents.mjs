// A spoken conversation through @openai/agents: asks, hears, interrupts. Prints what happened.
// node agents.mjs ws://127.0.0.1:8124/v1/realtime
import { RealtimeAgent, RealtimeSession, OpenAIRealtimeWebSocket } from '@openai/agents/realtime';

const url = process.argv[2];
const told = { errors: [], sound: 0, interrupted: 0, types: {} };
const agent = new RealtimeAgent({ name: 'assistant', instructions: 'Be brief.' });
const transport = new OpenAIRealtimeWebSocket({ url, useInsecureApiKey: true });
const session = new RealtimeSession(agent, { transport });
session.on('error', (error) => told.errors.push(error));
session.on('audio', (event) => { told.sound += event.data.byteLength; });
session.on('audio_interrupted', () => { told.interrupted += 1; });
session.on('transport_event', (event) => { told.types[event.type] = (told.types[event.type] ?? 0) + 1; });

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function say(level, seconds) {
  for (let i = 0; i < seconds * 20; i++) {
    session.sendAudio(new Int16Array(1200).fill(level * 32767).buffer);
    await pause(50);
  }
}

async function until(ready) {
  for (let i = 0; i < 400 && !ready(); i++) await say(0, 0.05);
  if (!ready()) throw new Error('waited in vain: ' + JSON.stringify(told));
}

await session.connect({ apiKey: 'any', url });
await say(0.5, 0.6);
await until(() => told.sound > 0);
await say(0, 0.6);
await say(0.5, 0.6); // over the answer
await until(() => told.interrupted > 0);
await until(() => (told.types['response.done'] ?? 0) >= 2);
told.history = session.history.map((item) => ({
  role: item.role, status: item.status,
  said: item.content?.map((part) => part.transcript ?? part.text).join(' '),
}));
session.close();
console.log(JSON.stringify(told));
