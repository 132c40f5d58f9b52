"""What a client is told when it does not get what it asked for, in OpenAI's words and form."""

from __future__ import annotations

import logging

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ExceptionHandler

from ..engines.call_options import OptionError
from ..errors import ContextExceeded, EngineError, InputError

log = logging.getLogger(__name__)


class ApiError(Exception):
    """A request that is answered with an error.

    param: the field that is wrong, where it is one.
    code: for programs, where OpenAI has one.
    retry_after: seconds after which the same request may fare better.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code
        self.retry_after = retry_after


def too_long(failure: Exception) -> ApiError:
    """The messages are more than the model can read, as OpenAI says it. No SDK tries it again."""
    assert isinstance(failure, ContextExceeded)
    return ApiError(400, failure.reason, param="messages", code=failure.kind)


def error(
    message: str, status: int, *, param: str | None = None, code: str | None = None
) -> dict[str, dict[str, str | None]]:
    """The body of an error, and what a stream that fails sends."""
    kind = "invalid_request_error" if status < 429 else "rate_limit_error"
    # Parts of a request may be quoted, and they need not be text that can be sent.
    message = message.encode(errors="replace").decode()
    return {
        "error": {
            "message": message,
            "type": kind if status < 500 else "server_error",
            "param": param,
            "code": code,
        }
    }


def response(refusal: ApiError) -> Response:
    headers = {} if refusal.retry_after is None else {"retry-after": str(refusal.retry_after)}
    body = error(str(refusal), refusal.status, param=refusal.param, code=refusal.code)
    return JSONResponse(body, refusal.status, headers)


async def _refused(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, ApiError)
    return response(refusal)


def unsuitable(failure: Exception) -> ApiError:
    """An option of the request, or its file, is not what an engine takes."""
    param = failure.option if isinstance(failure, OptionError) else "file"
    return ApiError(400, str(failure), param=param)


async def _unsuitable(request: Request, failure: Exception) -> Response:
    return response(unsuitable(failure))


async def _failed(request: Request, failure: Exception) -> Response:
    assert isinstance(failure, EngineError)
    log.warning("%s", failure)
    return response(ApiError(500, str(failure), code=f"{failure.stage}_failed"))


async def _too_long(request: Request, failure: Exception) -> Response:
    return response(too_long(failure))


async def _http(request: Request, failure: Exception) -> Response:
    assert isinstance(failure, HTTPException)
    path = request.url.path
    if failure.status_code == 404:
        message = f"there is no {path} here; /openapi.json lists what there is"
    elif failure.status_code == 405:
        message = f"{path} takes {(failure.headers or {}).get('Allow')}, not {request.method}"
    else:
        message = failure.detail
    return JSONResponse(error(message, failure.status_code), failure.status_code, failure.headers)


async def _gone(request: Request, failure: Exception) -> Response:
    return Response(status_code=400)  # nobody reads it


async def _bug(request: Request, failure: Exception) -> Response:
    # The traceback is logged by the server; strangers get the id to ask for it by.
    request_id = request.scope.get("request_id", "-")
    answer = response(ApiError(500, f"internal server error; the log has it under {request_id}"))
    answer.headers["x-request-id"] = request_id
    return answer


HANDLERS: dict[int | type[Exception], ExceptionHandler] = {
    ApiError: _refused,
    OptionError: _unsuitable,
    InputError: _unsuitable,
    ContextExceeded: _too_long,
    EngineError: _failed,
    HTTPException: _http,
    ClientDisconnect: _gone,
    Exception: _bug,
}
"""For each kind of failure, what answers it."""
