"""A raw ASGI application that returns a constant: the limit of the server itself."""

BODY = b'{"payload":{"predictions":[0],"scores":[[0.9,0.1]],"labels":[0,1]}}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]


async def app(scope, receive, send):
    """Read the body and send the constant."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})
