// node calls.mjs http://127.0.0.1:8124/v1 http://127.0.0.1:8125/v1 question.wav
// What the first, which quotes documents, and the second, whose words are certain, have answered.
import fs from 'node:fs';
import OpenAI from 'openai';

const [, , house, talker, recording] = process.argv;
const at = (baseURL) => new OpenAI({ baseURL, apiKey: 'none', maxRetries: 0 });
const asks = (content) => [{ role: 'user', content }];
const model = 'gpt-4o';
const told = {};

const heard = await at(house).audio.transcriptions.create({
  model: 'whisper-1', file: fs.createReadStream(recording),
});
told.heard = heard.text;
const answer = await at(house).chat.completions.create({ model, messages: asks(heard.text) });
told.answer = answer.choices[0].message.content;
const spoken = await at(house).audio.speech.create({
  model: 'tts-1', voice: 'nova', input: told.answer, response_format: 'wav',
});
told.sound = (await spoken.arrayBuffer()).byteLength;

const stream = await at(talker).chat.completions.create({
  model, messages: asks('Good morning.'), stream: true,
});
told.pieces = [];
for await (const chunk of stream) told.pieces.push(chunk.choices[0].delta.content ?? '');

const runner = at(talker).chat.completions.runTools({
  model,
  messages: asks('What is the weather?'),
  tools: [{
    type: 'function',
    function: {
      name: 'weather',
      parse: JSON.parse,
      parameters: { type: 'object', properties: { city: { type: 'string' } } },
      function: ({ city }) => `sunshine over ${city}`,
    },
  }],
});
told.returned = await runner.finalContent();

try {
  await at(house).images.generate({ model: 'gpt-image-1', prompt: 'a cat' });
} catch (error) {
  told.refused = [error.status, error.message];
}
console.log(JSON.stringify(told));
