"""Names of what spans tell, by OpenTelemetry's conventions for generative AI where they have one.

The conventions are still changing: a name of theirs that changes is changed here. Ours begin
with "voicebot.".
"""

from __future__ import annotations

# The conventions' own, and those of every span, as of November 2026.
OPERATION = "gen_ai.operation.name"
AGENT = "gen_ai.agent.name"
CONVERSATION = "gen_ai.conversation.id"
PROVIDER = "gen_ai.provider.name"
MODEL = "gen_ai.request.model"
TEMPERATURE = "gen_ai.request.temperature"
SEED = "gen_ai.request.seed"
OUTPUT = "gen_ai.output.type"
FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
"""Seconds from the beginning of the span."""
TOKENS_READ = "gen_ai.usage.input_tokens"
TOKENS_WRITTEN = "gen_ai.usage.output_tokens"
TOKENS_KEPT = "gen_ai.usage.cache_read.input_tokens"
DOCUMENTS = "gen_ai.retrieval.documents"
"""JSON: of each passage its id and score."""
ASKED = "gen_ai.input.messages"
ANSWERED = "gen_ai.output.messages"
"""JSON, as is what was asked: only where transcripts may be written down."""
ERROR = "error.type"
METHOD = "http.request.method"
ROUTE = "http.route"
STATUS = "http.response.status_code"

INVOKE, CHAT, RETRIEVE = "invoke_agent", "chat", "retrieval"
TRANSCRIBE, SYNTHESIZE = "transcribe", "synthesize"
"""Operations for which the conventions have no name yet."""

# Ours.
REQUEST = "voicebot.request.id"
TURN = "voicebot.turn.id"
OUTCOME = "voicebot.turn.outcome"
FIRST_AUDIO = "voicebot.first_audio_ms"
"""Whole milliseconds after the user stopped speaking: samplers compare whole numbers only."""
STAGE = "voicebot.stage"
VERSION = "voicebot.engine.version"
COMMIT = "voicebot.model.commit"
VOICE = "voicebot.voice"
GAP_BOUNDS = "voicebot.chunk_gap.bounds"
"""Seconds, ascending, that part the counts of waits for each further chunk."""
GAP_COUNTS = "voicebot.chunk_gap.counts"
RUNG = "voicebot.degradation"
PREEMPTIVE = "voicebot.degradation.preemptive"
