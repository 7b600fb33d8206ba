"""Coming and going: login, logout, language."""

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from cloud import auth
from cloud.requests import COOKIE, Database, Visitor, Writing
from cloud.web.i18n import LANGUAGE_COOKIE, Language
from cloud.web.rendering import page
from cloud.web.route import PageRoute
from cloud.web.visit import AnyGuest, OwnSite, own_path

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_YEAR_S = 365 * 86_400
Text = Annotated[str, Form(max_length=200)]


@router.get("/login")
def show_login(guest: AnyGuest, person: Visitor, next: str = "/") -> Response:  # noqa: A002  # the address says next
    """Show the form; somebody who is logged in goes on at once."""
    if person is not None:
        return RedirectResponse(own_path(next), 303)
    return page(guest, "login.html", next=own_path(next), username="", wrong=False)


@router.post("/login", dependencies=[OwnSite])
def log_in(
    guest: AnyGuest,
    engine: Database,
    username: Text,
    password: Text,
    next: Text = "/",  # noqa: A002  # the form says next
) -> Response:
    """Log in (a thread runs this: argon2 takes its time); 401 with the form if refused."""
    target = own_path(next)
    try:
        token = auth.log_in(engine, username.strip(), password)
    except auth.LoginRefusedError:
        return page(guest, "login.html", status=401, next=target, username=username, wrong=True)
    answer = RedirectResponse(target, 303)
    answer.set_cookie(
        COOKIE,
        token,
        max_age=auth.SESSION_S,
        httponly=True,
        samesite="lax",
        secure=_secure(guest.request),
    )
    return answer


@router.post("/logout", dependencies=[OwnSite])
def log_out(request: Request, connection: Writing) -> Response:
    """End the session and forget the cookie."""
    token = request.cookies.get(COOKIE)
    if token:
        auth.log_out(connection, token)
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(COOKIE, httponly=True, samesite="lax", secure=_secure(request))
    return answer


@router.get("/language/{language}")
def switch_language(language: Language, request: Request, next: str = "/") -> Response:  # noqa: A002  # the address says next
    """Remember the language and go back to the page."""
    answer = RedirectResponse(own_path(urlsplit(next).geturl()), 303)
    answer.set_cookie(
        LANGUAGE_COOKIE, language, max_age=_YEAR_S, samesite="lax", secure=_secure(request)
    )
    return answer


def _secure(request: Request) -> bool:
    settings = getattr(request.app.state, "settings", None)
    return bool(getattr(settings, "secure_cookies", False)) or request.url.scheme == "https"
