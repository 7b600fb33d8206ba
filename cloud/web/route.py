"""The route of every page: what goes wrong becomes a page too, or leads to the login."""

from collections.abc import Callable, Coroutine
from typing import Final
from urllib.parse import quote

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from cloud.errors import NotFoundError
from cloud.problems import api_problem
from cloud.web.i18n import N_
from cloud.web.rendering import page
from cloud.web.visit import guest_of

_LOG = structlog.get_logger(__name__)
_MESSAGES: Final = {
    400: (N_("That request makes no sense"), N_("Go back and check what was entered.")),
    403: (N_("Not for your role"), N_("Ask the project manager if you need this page.")),
    404: (
        N_("Nothing here"),
        N_("The address is wrong, or what it names is not there for you."),
    ),
    413: (N_("That file is too large"), N_("Go back and choose a smaller one.")),
    500: (N_("Something broke on our side"), N_("It is in the log. Try again in a minute.")),
}


class PageRoute(APIRoute):
    """A route whose errors are pages in the reader's language."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[object, object, Response]]:
        """Return the handler with every error turned into a page."""
        handle = super().get_route_handler()

        async def handle_page(request: Request) -> Response:
            try:
                return await handle(request)
            except HTTPException as error:
                return refusal(request, error.status_code)
            except NotFoundError:
                return refusal(request, 404)
            except RequestValidationError:
                return refusal(request, 400)
            except Exception:  # noqa: BLE001  # the last stop: logged with its trace, shown as a page
                _LOG.exception("page failed", path=request.url.path)
                return refusal(request, 500)

        return handle_page


def refusal(request: Request, status: int) -> Response:
    """Return the page of an error; a stranger is led to the login instead."""
    guest = guest_of(request)
    if status == 401:  # noqa: PLR2004  # HTTP's own number
        return RedirectResponse(f"/login?next={quote(guest.here, safe='/')}", 303)
    title, advice = _MESSAGES.get(status, _MESSAGES[400])
    return page(guest, "error.html", status=status, code=status, title=title, advice=advice)


def install_error_pages(app: FastAPI) -> None:
    """Answer what no route of the pages caught: a problem under /api, a page elsewhere."""

    @app.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException) -> Response:
        return api_problem(request, error) or refusal(request, error.status_code)
