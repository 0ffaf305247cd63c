"""A bare aiohttp endpoint that answers 200. Prints its url; ends with its standard input, printing what it got."""

import asyncio
import json
import sys

from aiohttp import web


async def main() -> None:
    """Count requests and lines."""
    counts = {"requests": 0, "bytes": 0}

    async def take(request: web.BaseRequest) -> web.Response:
        body = await request.read()
        counts["requests"] += 1
        counts["bytes"] += len(body)
        return web.Response()

    runner = web.ServerRunner(web.Server(take, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    print(f"http://{host}:{port}/", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    print(json.dumps(counts))


asyncio.run(main())
