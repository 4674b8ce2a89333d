"""A raw ASGI application that answers a constant: the most that the server itself can do."""

BODY = b'{"payload":{"predictions":[0],"scores":[[0.9,0.1]],"labels":[0,1]}}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]


async def app(scope, receive, send):
    """Reads the body and answers."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})
