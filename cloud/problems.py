"""Errors as RFC 9457 problem documents for programs; pages have their own."""

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from cloud.auth import LoginRefusedError
from cloud.errors import CloudError, ForbiddenError, NotFoundError


def problem(request: Request, status: int, detail: str, **more: object) -> JSONResponse:
    """Return a problem document with its status."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": request.url.path,
        **more,
    }
    return JSONResponse(body, status, media_type="application/problem+json")


def install(app: FastAPI) -> None:
    """Answer every error under /api with a problem document."""

    @app.exception_handler(CloudError)
    def refused(request: Request, error: CloudError) -> Response:
        status = 409
        if isinstance(error, NotFoundError):
            status = 404
        elif isinstance(error, LoginRefusedError):
            status = 401
        elif isinstance(error, ForbiddenError):
            status = 403
        return problem(request, status, str(error))

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> Response:
        faults = [
            {"key": ".".join(map(str, item["loc"])), "message": item["msg"]}
            for item in error.errors()
        ]
        return problem(request, 422, "the request is not what is allowed", errors=faults)


def api_problem(request: Request, error: HTTPException) -> Response | None:
    """Return a problem document for an error under /api, None for a page's."""
    if not request.url.path.startswith("/api/"):
        return None
    answer = problem(request, error.status_code, str(error.detail))
    answer.headers.update(error.headers or {})
    return answer
