"""What the first turn finds done before it."""

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"
TURN = """
import asyncio, sys
from pathlib import Path
from voicebot.assistant.assembly import assemble
from voicebot.bench.inside import talking
from voicebot.bench.questions import read
from voicebot.bench.trial import hold
from voicebot.config import read as read_config
from voicebot.assistant.warmup import Warmup

settings, models, examples = sys.argv[1:]

async def first(parts):
    question = read([examples])[0]
    await Warmup(parts).once()
    async with talking(parts) as line:
        before = set(sys.modules)
        turn = await hold(line, question)
    assert turn.first_audio is not None
    print(*sorted(set(sys.modules) - before))

with assemble(read_config(Path(settings)), Path(models)) as parts:
    asyncio.run(first(parts))
"""


def test_nothing_is_imported_while_somebody_waits_for_the_first_answer(tmp_path):
    settings = tmp_path / "voicebot.toml"
    settings.write_text(f"[documents]\nfolder = {str(EXAMPLES / 'house')!r}\n")
    command = [sys.executable, "-c", TURN, settings, tmp_path, EXAMPLES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
