"""How fast it answers, measured where its user is: from the end of their speech to the first sound.

`arguments` is the command line, `turn` and `server` are its measurements; `stt`, `tts`, `llm`,
`vad` and `knowledge` measure one engine alone, as `job.Bench` says. To add one: a function in
`arguments` that declares its options and imports its module only when it runs.
"""
