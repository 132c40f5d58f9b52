"""A real HTTP server on loopback that answers by script and remembers what it was asked."""

import asyncio
import json
from contextlib import suppress


class Request:
    def __init__(self, path, headers, body):
        self.path, self.headers, self.body = path, headers, body

    @property
    def json(self):
        return json.loads(self.body)


class Wire:
    """The server's end of one answer."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def head(self, status, kind, length=None, **headers):
        lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}"]
        lines.append(
            "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        )
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.write("\r\n".join([*lines, "", ""]).encode())

    async def chunk(self, data):
        await self.write(b"%x\r\n%s\r\n" % (len(data), data))

    async def end(self):
        await self.write(b"0\r\n\r\n")

    async def write(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def hung_up(self):
        """Wait until the client has closed the connection."""
        with suppress(ConnectionError):
            while await self.reader.read(1024):
                pass


def whole(status, body, kind="application/json", **headers):
    """An answer of known length: bytes as they are, anything else as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def script(wire):
        await wire.head(status, kind, len(data), **headers)
        await wire.write(data)

    return script


def pieces(*data, kind="text/event-stream", cut=False):
    """An answer that comes chunk by chunk; `cut` closes the connection in the middle of it."""

    async def script(wire):
        await wire.head(200, kind)
        for piece in data:
            await wire.chunk(piece)
            await asyncio.sleep(0)
        if cut:
            wire.writer.close()
        else:
            await wire.end()

    return script


class Loopback:
    """`async with Loopback(first, second) as server`: scripts for the requests to come."""

    def __init__(self, *scripts, port=0):
        self.port = port
        self.scripts, self.requests, self.connections = list(scripts), [], 0
        self._tasks = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(self, *failure):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        self.connections += 1
        self._tasks.add(asyncio.current_task())
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while not writer.is_closing():
                    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                    pairs = (line.partition(": ") for line in head[1:] if line)
                    headers = {name.lower(): value for name, _, value in pairs}
                    body = await reader.readexactly(int(headers.get("content-length", 0)))
                    self.requests.append(Request(head[0].split()[1], headers, body))
                    await self.scripts.pop(0)(Wire(reader, writer))
        except asyncio.CancelledError:
            pass  # the test is over; a server task that ends cancelled would be reported
        finally:
            writer.close()
