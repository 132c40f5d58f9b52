// A spoken conversation through @openai/agents: asks, carries out a function, hears, interrupts.

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Hold it through this version of the client; what happened is printed. */
export async function talk({ RealtimeAgent, RealtimeSession, OpenAIRealtimeWebSocket, tool }) {
  const [, , url, forecast] = process.argv;
  const told = { errors: [], calls: [], sound: 0, interrupted: 0, types: {} };
  const weather = tool({
    name: 'weather',
    description: 'The weather of a city.',
    strict: false,
    parameters: {
      type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: true,
    },
    execute: async ({ city }) => {
      told.calls.push(city);
      return forecast;
    },
  });
  const agent = new RealtimeAgent({ name: 'assistant', instructions: 'Be brief.', tools: [weather] });
  const transport = new OpenAIRealtimeWebSocket({ url, useInsecureApiKey: true });
  const session = new RealtimeSession(agent, { transport });
  session.on('error', (error) => told.errors.push(error));
  session.on('audio', (event) => { told.sound += event.data.byteLength; });
  session.on('audio_interrupted', () => { told.interrupted += 1; });
  session.on('transport_event', (event) => { told.types[event.type] = (told.types[event.type] ?? 0) + 1; });

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
  await until(() => told.calls.length > 0);
  const announced = told.sound;
  await until(() => told.sound > announced + 48000); // a second of the forecast
  await say(0, 0.6);
  await say(0.5, 0.6); // over the answer
  await until(() => told.interrupted > 0);
  await until(() => (told.types['response.done'] ?? 0) >= 4);
  told.history = session.history.map((item) => ({
    type: item.type, role: item.role, status: item.status, name: item.name, output: item.output,
    said: item.content?.map((part) => part.transcript ?? part.text).join(' '),
  }));
  session.close();
  console.log(JSON.stringify(told));
}

/** Carry out two functions at once, of which one takes longer; what was said of them is printed. */
export async function together({ RealtimeAgent, RealtimeSession, OpenAIRealtimeWebSocket, tool }) {
  const [, , url, late] = process.argv;
  const told = { errors: [], calls: [], types: {} };
  const weather = tool({
    name: 'weather',
    description: 'The weather of a city.',
    strict: false,
    parameters: {
      type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: true,
    },
    execute: async ({ city }) => {
      told.calls.push(city);
      if (city === 'Paris') await pause(Number(late));
      return `${city} is dry.`;
    },
  });
  const agent = new RealtimeAgent({ name: 'assistant', instructions: 'Be brief.', tools: [weather] });
  const session = new RealtimeSession(agent, { transport: new OpenAIRealtimeWebSocket({ url, useInsecureApiKey: true }) });
  session.on('error', (error) => told.errors.push(error));
  session.on('transport_event', (event) => { told.types[event.type] = (told.types[event.type] ?? 0) + 1; });
  await session.connect({ apiKey: 'any', url });
  session.sendMessage('What is the weather in Rome and in Paris?');
  const said = () => session.history.filter((item) => item.role === 'assistant')
    .flatMap((item) => item.content.map((part) => part.transcript ?? part.text ?? ''));
  for (let i = 0; i < 400 && !said().join(' ').includes('Paris is dry.'); i++) await pause(50);
  await pause(1500); // for an answer too many
  told.said = said();
  session.close();
  console.log(JSON.stringify(told));
}
