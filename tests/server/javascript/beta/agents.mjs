// node agents.mjs ws://127.0.0.1:8124/v1/realtime "It rains."
import * as client from '@openai/agents/realtime';
import { talk, together } from '../talk.mjs';

await (process.argv[4] === 'together' ? together : talk)(client);
